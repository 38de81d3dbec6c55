# The page and all commands, with versions that were tested together; the same image computes on the
# CPU and, with the NVIDIA Container Toolkit, on a GPU (--gpus all).
#   docker build -t kuleshov . && docker run --rm kuleshov demo
FROM python:3.11-slim

RUN apt-get update \
    && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /src
COPY requirements.lock .
RUN pip install --no-cache-dir --require-hashes -r requirements.lock
COPY . .
RUN pip install --no-cache-dir "setuptools>=77" \
    && pip install --no-cache-dir --no-deps --no-build-isolation . \
    && rm -rf /src/*

RUN useradd --create-home --uid 10001 kuleshov
USER kuleshov
WORKDIR /home/kuleshov
# models that are pulled, and kept chats; mount it to keep them
VOLUME /home/kuleshov/.cache
EXPOSE 8686
ENTRYPOINT ["kuleshov"]
CMD ["demo"]
