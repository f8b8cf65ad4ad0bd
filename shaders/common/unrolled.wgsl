// Windows of poolings that are unrolled in text. Needs common/divide.wgsl, common/window.wgsl.
//
// An invocation computes a vec4 of the result: of channels-last images (`last`) four channels of a pixel, of planes four
// elements that follow one another. `Index` is a number for the four, or one for each.
{% if last %}
alias Index = u32;
{% else %}
alias Index = vec4<u32>;
{% endif %}

struct Place {
    /// Of channels-last images, the image.
    plane: Index,
    row: Index,
    column: Index,
    /// Four of channels.
    quad: u32,
}

{% if not last %}
/// The element after one in planes of a given size. After the last plane it stays in it.
fn following(at: vec3<u32>, height: u32, width: u32) -> vec3<u32> {
    let row_ends = at.z + 1u == width;
    let plane_ends = row_ends && at.y + 1u == height;
    let row = select(select(at.y, at.y + 1u, row_ends), 0u, plane_ends);
    let plane = select(at.x, min(at.x + 1u, params.planes - 1u), plane_ends);
    return vec3<u32>(plane, row, select(at.z + 1u, 0u, row_ends));
}
{% endif %}

/// Where vec4 number `index` lies in images of a given size.
fn place_of(index: u32, height: u32, width: u32) -> Place {
{% if last %}
    let pixel = div_rem(index, params.quads);
    let at = unflatten(pixel.x, height, width);
    return Place(at.x, at.y, at.z, pixel.y);
{% else %}
    let a = unflatten(4u * index, height, width);
    let b = following(a, height, width);
    let c = following(b, height, width);
    let d = following(c, height, width);
    let at = transpose_places(a, b, c, d);
    return Place(at[0], at[1], at[2], 0u);
{% endif %}
}

{% if not last %}
fn transpose_places(a: vec3<u32>, b: vec3<u32>, c: vec3<u32>, d: vec3<u32>) -> array<vec4<u32>, 3> {
    return array(vec4(a.x, b.x, c.x, d.x), vec4(a.y, b.y, c.y, d.y), vec4(a.z, b.z, c.z, d.z));
}
{% endif %}

/// Whether vec4 number `index` lies in images of a given size at all.
fn lies_within(index: u32, height: u32, width: u32) -> bool {
{% if last %}
    return index < params.planes * height * width * params.quads;
{% else %}
    return 4u * index < params.planes * height * width;
{% endif %}
}

{#- NAME_cells, the elements of an image at pixels: their number counts through all images. #}
{% macro cells(name, binding, texture, last) %}
{% if last %}
{{ fours(name, binding, texture) }}
fn {{ name }}_cells(pixel: u32, quad: u32) -> vec4<f32> { return {{ name }}_at(pixel * params.quads + quad); }
{% else %}
{{ scalars(name, binding, texture) }}
fn {{ name }}_cells(pixel: vec4<u32>, quad: u32) -> vec4<f32> {
    let x = {{ name }}_element(pixel.x);
    let y = {{ name }}_element(pixel.y);
    let z = {{ name }}_element(pixel.z);
    return vec4(x, y, z, {{ name }}_element(pixel.w));
}
{% endif %}
{% endmacro %}

// One axis of a window, in coordinates of the padded plane.

/// The cell at `offset` of a window, or the nearest one in the input.
fn nearest_cell(window: Index, offset: u32, stride: u32, pad: u32, size: u32) -> Index {
    return clamp(window * stride + offset, Index(pad), Index(pad + size - 1u));
}

{% if last %}
alias Condition = bool;
{% else %}
alias Condition = vec4<bool>;
{% endif %}

/// Whether a window of this number, which is past all others where it would be negative, has a cell at this place.
fn covers(window: Index, windows: u32, place: Index, kernel: u32) -> Condition {
    return (window < Index(windows)) & (place < Index(kernel));
}
