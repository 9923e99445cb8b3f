"""The operator with 1,000 pipelines, on a control plane alone whose nodes kwok plays."""
