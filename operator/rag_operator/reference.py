"""docs/resource.md, from the same schema as the CRD. Pure. Run as a module, it prints the page."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from rag_operator import crd, names

Schema = Mapping[str, Any]

HEAD = f"""\
# RagPipeline

<!-- Written by `make crds` from the models in operator/rag_operator: change those. -->

`{names.PIPELINE.api_version}`, short name `rp`, category `ragops`. Every field has a default: `spec: {{}}` works.
What is not allowed is refused by the API server with the field, the value and the remedy. `kubectl explain` says the
same. [`examples/full.yaml`](../examples/full.yaml) has every field in it, but those that exclude others.

```sh
kubectl apply -f examples/quickstart.yaml
kubectl get ragpipelines --output wide
kubectl explain ragpipeline.spec.vectorStore
```
"""
CONSTRAINTS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "maxLength": "at most {} characters",
    "maxItems": "at most {} entries",
}


def build_page() -> str:
    version = crd.build_crd()["spec"]["versions"][0]
    parts = version["schema"]["openAPIV3Schema"]["properties"]
    sections = (f"\n## {part}\n\n{_table(parts[part])}" for part in ("spec", "status"))
    return HEAD + "".join(sections) + f"\n## Columns\n\n{_columns(version['additionalPrinterColumns'])}"


def _table(schema: Schema) -> str:
    rows = (f"| `{path}` | {_type(field)} | {_default(field)} | {_about(field)} |" for path, field in _fields(schema))
    return "\n".join(["| field | type | default | meaning |", "|---|---|---|---|", *rows, ""])


def _fields(schema: Schema, prefix: str = "") -> Iterator[tuple[str, Schema]]:
    """Every field with its path, those of list entries behind []."""
    for name, field in schema.get("properties", {}).items():
        path = f"{prefix}{name}"
        yield path, field
        yield from _fields(field, f"{path}.")
        yield from _fields(field.get("items", {}), f"{path}[].")


def _type(field: Schema) -> str:
    if field.get("x-kubernetes-int-or-string"):
        return "quantity"
    return str(field.get("format") or field.get("type", "any"))


def _default(field: Schema) -> str:
    default = field.get("default")
    if default is None or isinstance(default, Mapping):
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _about(field: Schema) -> str:
    allowed = [text.format(field[name]) for name, text in CONSTRAINTS.items() if name in field]
    if "enum" in field:
        allowed.append("one of " + ", ".join(f"`{value}`" for value in field["enum"]))
    about = str(field.get("description", "")).replace("\n", " ").replace("|", "\\|")
    return about + (f" ({', '.join(allowed)})" if allowed else "")


def _columns(columns: list[Schema]) -> str:
    rows = (f"| {c['name']} | `{c['jsonPath']}` | {'`-o wide`' if c['priority'] else 'yes'} |" for c in columns)
    return "\n".join(["| column | from | shown |", "|---|---|---|", *rows, ""])


if __name__ == "__main__":
    sys.stdout.write(build_page())
