"""The control protocol: JSON lines over a unix socket. `verbs` is the fixed table, `protocol` the bytes; both are pure."""
