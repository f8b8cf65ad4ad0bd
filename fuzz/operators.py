#!/usr/bin/env python3
"""ONNX's operators with their attributes, as src/operators.txt has them: python3 operators.py > src/operators.txt

A line is a name, how many inputs there may be, and the attributes with their types.
"""
from onnx import defs

attributes, inputs = {}, {}
for schema in defs.get_all_schemas_with_history():
    if schema.domain == "":
        of = attributes.setdefault(schema.name, {})
        of.update((name, attribute.type.name.lower()) for name, attribute in schema.attributes.items())
        inputs[schema.name] = max(inputs.get(schema.name, 0), min(schema.max_input, 8))
kinds = {"int", "ints", "float", "floats", "string", "strings", "tensor"}
for name in sorted(attributes):
    row = [f"{attribute}:{kind}" for attribute, kind in sorted(attributes[name].items()) if kind in kinds]
    print(" ".join([name, str(inputs[name]), *row]))
