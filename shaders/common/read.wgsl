{#- Operands in fours, read from a buffer or, where the host made a copy of it there, from a texture. Needs
    common/texture.wgsl. -#}
{% macro fours(name, binding, texture) %}
{% if texture %}
@group(0) @binding({{ binding }}) var {{ name }}: texture_storage_2d<rgba32float, read>;
fn {{ name }}_at(index: u32) -> vec4<f32> { return textureLoad({{ name }}, texel(index)); }
{% else %}
@group(0) @binding({{ binding }}) var<storage, read> {{ name }}: array<vec4<f32>>;
fn {{ name }}_at(index: u32) -> vec4<f32> { return {{ name }}[index]; }
{% endif %}
{% endmacro %}
