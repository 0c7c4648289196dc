"""The configuration file: YAML and ${ENVIRONMENT} in, one frozen typed `Config` out, or every fault at once.

document      text -> YAML nodes that know their lines
environment   ${NAME} and ${NAME:-default}
scalar value  "2s", "32MiB", ":8080" -> what they mean
schema        the keys: their types, defaults and meanings; a new key is a new field there
reading       one pass over the nodes: texts, entries, faults
build         nodes + schema -> dataclasses
validate      rules that tie keys together
load          the one function that reads the file
"""
