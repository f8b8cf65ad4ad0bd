// What becomes of a kernel's results before it stores them: the links of common/chain.wgsl, whose operands lie as the results
// do. The host binds them from binding `first` on. Needs common/functions.wgsl, common/chain.wgsl, common/texture.wgsl and
// common/read.wgsl.
{#- `finished`, of so many elements at once, which have this index. #}
{% macro finishing(width) %}
{% set type = "vec4<f32>" if width == 4 else "vec2<f32>" if width == 2 else "f32" %}
{% for operand in operands %}
{% set name = "values" ~ loop.index0 %}
{% if width == 4 %}
{{ fours(name, first + loop.index0, operand.texture) }}
{% elif width == 2 %}
{{ pairs(name, first + loop.index0, operand.texture) }}
{% else %}
{{ scalars(name, first + loop.index0, operand.texture) }}
{% endif %}
{% endfor %}
fn finished(result: {{ type }}, index: u32) -> {{ type }} {
{% if width == 4 %}
    return chain(result{% for operand in operands %}, values{{ loop.index0 }}_at(index){% endfor %});
{% elif width == 2 %}
    return chain(result.xyxy{% for operand in operands %}, values{{ loop.index0 }}_pair(index).xyxy{% endfor %}).xy;
{% else %}
    return chain(vec4(result){% for operand in operands %}, vec4(values{{ loop.index0 }}_element(index)){% endfor %}).x;
{% endif %}
}
{% endmacro %}
