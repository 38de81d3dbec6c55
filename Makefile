.PHONY: check docs format lint types test
check: lint types test

format:
	ruff format .
	ruff check --fix .

lint:
	ruff format --check .
	ruff check .

# the type checker sees the package through an installed copy: the folders are mapped by name
types:
	rm -rf build/types && pip install -q --no-deps --target build/types .
	cd build && MYPYPATH=types mypy --config-file ../pyproject.toml -p kuleshov

# build/docs/index.html; nothing is downloaded
docs: export NO_MKDOCS_2_WARNING = 1
docs:
	python -m mkdocs build -q

test:
	pytest
