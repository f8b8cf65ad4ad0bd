// Operands that are read from a buffer or, where the host made a copy there, from a texture. Needs common/texture.wgsl.
{#- NAME_at, a four. #}
{% macro fours(name, binding, texture) %}
{% if texture %}
@group(0) @binding({{ binding }}) var {{ name }}: texture_storage_2d<rgba32float, read>;
fn {{ name }}_at(index: u32) -> vec4<f32> { return textureLoad({{ name }}, texel(index)); }
{% else %}
@group(0) @binding({{ binding }}) var<storage, read> {{ name }}: array<vec4<f32>>;
fn {{ name }}_at(index: u32) -> vec4<f32> { return {{ name }}[index]; }
{% endif %}
{% endmacro %}
{#- NAME_element, one element of a four. #}
{% macro elements(name) %}
fn {{ name }}_element(index: u32) -> f32 {
    let four = {{ name }}_at(index >> 2u);
    let two = select(four.xy, four.zw, (index & 2u) != 0u);
    return select(two.x, two.y, (index & 1u) != 0u);
}
{% endmacro %}
{#- Single elements of a buffer, or of a texture: NAME_element alone. #}
{% macro scalars(name, binding, texture) %}
{% if texture %}
{{ fours(name, binding, texture) }}
{{ elements(name) }}
{% else %}
@group(0) @binding({{ binding }}) var<storage, read> {{ name }}: array<f32>;
fn {{ name }}_element(index: u32) -> f32 { return {{ name }}[index]; }
{% endif %}
{% endmacro %}
{#- NAME_element and, unless there are single elements alone, NAME_at. #}
{% macro both(name, binding, single, texture) %}
{% if single %}{{ scalars(name, binding, texture) }}{% else %}
{{ fours(name, binding, texture) }}
{{ elements(name) }}
{% endif %}
{% endmacro %}
{#- Pairs of a buffer, or of a texture: NAME_pair. #}
{% macro pairs(name, binding, texture) %}
{% if texture %}
{{ fours(name, binding, texture) }}
fn {{ name }}_pair(index: u32) -> vec2<f32> {
    let four = {{ name }}_at(index >> 1u);
    return select(four.xy, four.zw, (index & 1u) != 0u);
}
{% else %}
@group(0) @binding({{ binding }}) var<storage, read> {{ name }}: array<vec2<f32>>;
fn {{ name }}_pair(index: u32) -> vec2<f32> { return {{ name }}[index]; }
{% endif %}
{% endmacro %}
