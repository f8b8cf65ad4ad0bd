// The entry point of kernels that compute each element of y by itself: `value_of(index)`, of `params.count`. In the form
// `gathered` an invocation computes the four that lie next to each other in y. Needs common/grid.wgsl.
{% macro each_value(entry, form) %}
@compute @workgroup_size(WORKGROUP)
fn {{ entry }}(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
{% if form == "gathered" %}
    if 4u * index >= params.count {
        return;
    }
    // The last four may have fewer elements.
{% for k in range(4) %}
    let value{{ k }} = value_of(min(4u * index + {{ k }}u, params.count - 1u));
{% endfor %}
    y[index] = vec4(value0, value1, value2, value3);
{% else %}
    if index >= params.count {
        return;
    }
    y[index] = value_of(index);
{% endif %}
}
{% endmacro %}
