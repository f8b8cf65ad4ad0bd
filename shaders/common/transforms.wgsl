// The transforms of Winograd's convolution F(4x4, 3x3), of one row or column: conv2d_winograd.wgsl says what they are for.
// Needs common/divide.wgsl.

struct Params {
    batch: u32,
    /// Of the image, and its channels, in fours where they lie together.
    height: u32,
    width: u32,
    depth: u32,
    /// Of the result, and its channels.
    out_height: u32,
    out_width: u32,
    columns: u32,
    pad_top: u32,
    pad_left: u32,
    /// Tiles of this call, and the first of them.
    tiles: u32,
    first: u32,
    /// From one of the 36 elements to the next: where channels lie together a little more than there are, so that the caches'
    /// sets differ.
    plane: u32,
}

@group(0) @binding(0) var<uniform> params: Params;

/// A tile's image, row and column, in tiles.
fn tile_at(index: u32) -> vec3<u32> {
    let line = div_rem(index, (params.out_width + 3u) / 4u);
    let image = div_rem(line.x, (params.out_height + 3u) / 4u);
    return vec3<u32>(image, line.y);
}

{#- Names are rows or columns of a matrix: `into` 0 `last`, `into` 1 `last`, and so on. First, into = Bt from. #}
{% macro bt(into, from, last) %}
    let {{ into }}0{{ last }} = 4.0 * {{ from }}0{{ last }} - 5.0 * {{ from }}2{{ last }} + {{ from }}4{{ last }};
    let {{ into }}1{{ last }}e = {{ from }}4{{ last }} - 4.0 * {{ from }}2{{ last }};
    let {{ into }}1{{ last }}o = {{ from }}3{{ last }} - 4.0 * {{ from }}1{{ last }};
    let {{ into }}1{{ last }} = {{ into }}1{{ last }}e + {{ into }}1{{ last }}o;
    let {{ into }}2{{ last }} = {{ into }}1{{ last }}e - {{ into }}1{{ last }}o;
    let {{ into }}3{{ last }}e = {{ from }}4{{ last }} - {{ from }}2{{ last }};
    let {{ into }}3{{ last }}o = 2.0 * ({{ from }}3{{ last }} - {{ from }}1{{ last }});
    let {{ into }}3{{ last }} = {{ into }}3{{ last }}e + {{ into }}3{{ last }}o;
    let {{ into }}4{{ last }} = {{ into }}3{{ last }}e - {{ into }}3{{ last }}o;
    let {{ into }}5{{ last }} = 4.0 * {{ from }}1{{ last }} - 5.0 * {{ from }}3{{ last }} + {{ from }}5{{ last }};
{% endmacro %}
{#- into = G from #}
{% macro g(into, from, last) %}
    let {{ into }}0{{ last }} = 0.25 * {{ from }}0{{ last }};
    let {{ into }}1{{ last }}e = (-1.0 / 6.0) * ({{ from }}0{{ last }} + {{ from }}2{{ last }});
    let {{ into }}1{{ last }} = {{ into }}1{{ last }}e - (1.0 / 6.0) * {{ from }}1{{ last }};
    let {{ into }}2{{ last }} = {{ into }}1{{ last }}e + (1.0 / 6.0) * {{ from }}1{{ last }};
    let {{ into }}3{{ last }}e = (1.0 / 24.0) * {{ from }}0{{ last }} + (1.0 / 6.0) * {{ from }}2{{ last }};
    let {{ into }}3{{ last }} = {{ into }}3{{ last }}e + (1.0 / 12.0) * {{ from }}1{{ last }};
    let {{ into }}4{{ last }} = {{ into }}3{{ last }}e - (1.0 / 12.0) * {{ from }}1{{ last }};
    let {{ into }}5{{ last }} = {{ from }}2{{ last }};
{% endmacro %}
{#- into = At from #}
{% macro at(into, from, last) %}
    let {{ into }}0{{ last }}e = {{ from }}1{{ last }} + {{ from }}2{{ last }};
    let {{ into }}0{{ last }}o = {{ from }}1{{ last }} - {{ from }}2{{ last }};
    let {{ into }}1{{ last }}e = {{ from }}3{{ last }} + {{ from }}4{{ last }};
    let {{ into }}1{{ last }}o = {{ from }}3{{ last }} - {{ from }}4{{ last }};
    let {{ into }}0{{ last }} = {{ from }}0{{ last }} + {{ into }}0{{ last }}e + {{ into }}1{{ last }}e;
    let {{ into }}1{{ last }} = {{ into }}0{{ last }}o + 2.0 * {{ into }}1{{ last }}o;
    let {{ into }}2{{ last }} = {{ into }}0{{ last }}e + 4.0 * {{ into }}1{{ last }}e;
    let {{ into }}3{{ last }} = {{ into }}0{{ last }}o + 8.0 * {{ into }}1{{ last }}o + {{ from }}5{{ last }};
{% endmacro %}
{#- into = A from #}
{% macro a(into, from, last) %}
    let {{ into }}0{{ last }} = {{ from }}0{{ last }};
    let {{ into }}1{{ last }}e = {{ from }}0{{ last }} + {{ from }}2{{ last }};
    let {{ into }}1{{ last }}o = {{ from }}1{{ last }} + {{ from }}3{{ last }};
    let {{ into }}1{{ last }} = {{ into }}1{{ last }}e + {{ into }}1{{ last }}o;
    let {{ into }}2{{ last }} = {{ into }}1{{ last }}e - {{ into }}1{{ last }}o;
    let {{ into }}3{{ last }}e = {{ from }}0{{ last }} + 4.0 * {{ from }}2{{ last }};
    let {{ into }}3{{ last }}o = 2.0 * {{ from }}1{{ last }} + 8.0 * {{ from }}3{{ last }};
    let {{ into }}3{{ last }} = {{ into }}3{{ last }}e + {{ into }}3{{ last }}o;
    let {{ into }}4{{ last }} = {{ into }}3{{ last }}e - {{ into }}3{{ last }}o;
    let {{ into }}5{{ last }} = {{ from }}3{{ last }};
{% endmacro %}
{#- into = Gt from #}
{% macro gt(into, from, last) %}
    let {{ into }}0{{ last }}e = {{ from }}1{{ last }} + {{ from }}2{{ last }};
    let {{ into }}1{{ last }}e = {{ from }}3{{ last }} + {{ from }}4{{ last }};
    let {{ into }}0{{ last }} = 0.25 * {{ from }}0{{ last }} - (1.0 / 6.0) * {{ into }}0{{ last }}e + (1.0 / 24.0) * {{ into }}1{{ last }}e;
    let {{ into }}1{{ last }} = (1.0 / 6.0) * ({{ from }}2{{ last }} - {{ from }}1{{ last }}) + (1.0 / 12.0) * ({{ from }}3{{ last }} - {{ from }}4{{ last }});
    let {{ into }}2{{ last }} = (1.0 / 6.0) * ({{ into }}1{{ last }}e - {{ into }}0{{ last }}e) + {{ from }}5{{ last }};
{% endmacro %}
