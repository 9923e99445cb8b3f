"""`rag-runtime`: read the command line, then run one command. A misconfiguration is one line and exit status 2;
3 where the index was made with other settings, or is another's."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rag_runtime import __version__, settings
from rag_runtime.errors import IndexMismatch, Misconfigured, RagError

DEFAULT_URL = "http://127.0.0.1:8000"


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
    except IndexMismatch as wrong:
        return _say(wrong, 3)
    except Misconfigured as wrong:
        return _say(wrong, 2)
    except RagError as failed:
        return _say(failed, 1)
    except KeyboardInterrupt:
        return 130
    return status


def _say(error: RagError, status: int) -> int:
    sys.stderr.write(f"rag-runtime: {' '.join(str(error).split())}\n")
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="rag-runtime", description="Documents in, cited answers out.")
    parser.add_argument("--version", action="version", version=f"rag-runtime {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="serve the HTTP API; settings come from the environment")
    serve.add_argument("--host", help="instead of HOST")
    serve.add_argument("--port", help="instead of PORT")
    serve.set_defaults(run=_serve)

    ingest = commands.add_parser("ingest", help="send files, folders and globs to a running service")
    ingest.add_argument("paths", nargs="+", metavar="PATH")
    ingest.add_argument("--url", default=DEFAULT_URL, help=f"of the service (default {DEFAULT_URL})")
    ingest.add_argument("--api-key", help="instead of RAG_API_KEY in the environment")
    ingest.set_defaults(run=_ingest)

    golden = commands.add_parser("eval", help="ask golden questions of a running service: recall, MRR and latency")
    golden.add_argument("questions", metavar="QUESTIONS.yaml", type=Path)
    golden.add_argument("--url", default=DEFAULT_URL, help=f"of the service (default {DEFAULT_URL})")
    golden.add_argument("--api-key", help="instead of RAG_API_KEY in the environment")
    golden.add_argument("--top-k", type=int, default=10, metavar="K", help="hits to look at (default 10)")
    golden.add_argument("--min-recall", type=float, default=0.0, metavar="SHARE", help="exit with 1 below it")
    golden.add_argument("--output", choices=("table", "json"), default="table")
    golden.set_defaults(run=_eval)

    bake = commands.add_parser("bake", help="put models into MODEL_CACHE_DIR, for a machine without a network")
    bake.add_argument("models", nargs="+", metavar="MODEL", help='as EMBEDDING_MODEL names them, or "bundled"')
    bake.add_argument("--int8", action="store_true", help="folders only: write NAME-int8, half the work for a text")
    bake.set_defaults(run=_bake)
    return parser


def _serve(options: argparse.Namespace) -> int:
    from rag_runtime.commands.serve import serve  # noqa: PLC0415 - the other commands need none of it

    given = {name: value for name in ("host", "port") if (value := getattr(options, name)) is not None}
    serve(settings.load(os.environ, **given))
    return 0


def _ingest(options: argparse.Namespace) -> int:
    from rag_runtime.commands.ingest import ingest  # noqa: PLC0415 - as above

    return ingest(options.paths, url=options.url, api_key=options.api_key or os.environ.get("RAG_API_KEY"))


def _eval(options: argparse.Namespace) -> int:
    from rag_runtime.commands.evaluate import Options, evaluate  # noqa: PLC0415 - as above

    key = options.api_key or os.environ.get("RAG_API_KEY")
    return evaluate(options.questions, Options(options.url, key, options.top_k, options.min_recall, options.output))


def _bake(options: argparse.Namespace) -> int:
    from rag_runtime.adapters.models import bake  # noqa: PLC0415 - as above

    cache_dir = settings.load(os.environ).model_cache_dir
    if options.int8:
        from rag_runtime.adapters.int8 import bake_int8  # noqa: PLC0415 - as above

        for folder in options.models:
            bake_int8(Path(folder), cache_dir)
    else:
        bake(options.models, cache_dir)
    return 0


if __name__ == "__main__":
    sys.exit(main())
