"""The configuration: `model` is what the daemon keeps, `load` reads YAML into it, `explain` and `schema` show it.

Importing `model`, `paths` or `exchange` costs neither pydantic nor yaml. `load` and `schema` do import them; only the
short-lived child (`python -m ocdsup.config FILE`) and `ocdsup check` import those two.
"""
