// Functions of single elements, one after the other: the host's `links`. Needs common/functions.wgsl.

/// What the links make of `previous` and their operands.
fn chain(previous: vec4<f32>{% for operand in operands %}, operand{{ loop.index0 }}: vec4<f32>{% endfor %}) -> vec4<f32> {
{% for link in links %}
    let link{{ loop.index0 }} = {{ link.function }}({{ link.arguments }});
{% endfor %}
    return {{ "link" ~ (links | length - 1) if links else "previous" }};
}
