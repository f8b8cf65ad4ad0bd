// 2-d max pooling in strips (common/strips.wgsl), with the window unrolled in the text, of planes and of channels-last images
// (C a multiple of 4).
//
// The maths is that of max_pool2d.wgsl. One invocation computes {{ columns }} neighbours of a row of y and of the winners
// (forward), or the {{ stride_height }} by {{ columns * stride_width }} elements of dx that belong to as many windows (grad_input); of channels-last images
// for four channels: gathers, no atomics. Cells beyond the input are replaced by the nearest one within it, as in
// max_pool2d_unrolled.wgsl. A window that is none has no winner.
// Memory traffic: forward reads each input about kernel_height / stride_height times (caches hold the overlap), writes 8 bytes
// an output, 4 where nobody asks for the winners; grad_input reads each dy and winner as often and writes 4 bytes an input.
// `omma bench ops --filter "max pool" --variants` on two cores of a CPU (lavapipe, AVX2), milliseconds, where a copy moved
// 1.5 GB/s:
//   3/2 forward  2 forward  2 gradient
//   46.5         28.2       75.5        max_pool2d.wgsl, one element an invocation
//                           29.4        the same, a window an invocation
//   29.2                                this, from buffers
//    7.9          5.1       13.5        max_pool2d_unrolled.wgsl, four elements, from textures
//                 3.2        5.2        max_pool2d.wgsl, two windows of 2x2
//    3.6          2.8        5.1        this: 4.5, 5.8 and 3.8 GB/s
// Nothing has been timed on a GPU.
// No barriers. Preconditions: those of max_pool2d.wgsl; of planes, rows of y are whole fours and
// in_width = out_width * stride_width.
// Needs common/grid.wgsl, common/divide.wgsl, common/window.wgsl, common/nan.wgsl, common/texture.wgsl, common/read.wgsl,
// common/strips.wgsl, common/functions.wgsl, common/chain.wgsl, common/epilogue.wgsl.

override WORKGROUP: u32 = 64u;
{% set per = 1 if last else 4 %}
{% set outputs = columns // per %}

{{ finishing(4) }}
{% if entry == "forward" %}
{{ fours("x", 1, texture) }}
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;
{% if winners %}
@group(0) @binding(3) var<storage, read_write> winner: array<vec4<f32>>;
{% endif %}

@compute @workgroup_size(WORKGROUP)
fn forward(at: Invocation) {
{{ begin() }}
    let column = strip.across * {{ columns }}u;
    let top = strip.row * {{ stride_height }}u;
{% for r in range(kernel_height) %}
    let row{{ r }} = clamp(top + {{ r }}u, params.pad_top, params.pad_top + params.in_height - 1u);
    let line{{ r }} = (strip.plane * params.in_height + row{{ r }} - params.pad_top) * width;
{{ load_units("x" ~ r, "x", "line" ~ r, "true", "base", "width", from, to, own, "nearest") }}
{% endfor %}
    let line = (strip.plane * params.out_height + strip.row) * units(params.out_width);
{% for j in range(outputs) %}
{% if winners %}
{% for c in range(pad_left) %}
{% if last %}
    let start{{ j }}_{{ c }} = (column + {{ j }}u) * {{ stride_width }}u;
{% else %}
    let start{{ j }}_{{ c }} = (column + vec4(0u, 1u, 2u, 3u)) * {{ stride_width }}u;
{% endif %}
    let within{{ j }}_{{ c }} = vec4<u32>(max(start{{ j }}_{{ c }} + {{ c }}u, {{ "u32" if last else "vec4<u32>" }}({{ pad_left }}u)) - start{{ j }}_{{ c }});
{% endfor %}
{% endif %}
{% for r in range(kernel_height) %}
{% for c in range(kernel_width) %}
{% set first = j * per * stride_width + c - pad_left %}
{% set id = j ~ "_" ~ r ~ "_" ~ c %}
{% if last %}
    let value{{ id }} = {{ column_of("x" ~ r, from, first) }};
{% else %}
    let value{{ id }} = vec4({% for k in range(4) %}{{ column_of("x" ~ r, from, first + k * stride_width) }}{{ ", " if not loop.last }}{% endfor %});
{% endif %}
{% set place = "vec4<u32>(" ~ kernel_width ~ "u * (row" ~ r ~ " - top)) + " ~ ("within" ~ j ~ "_" ~ c if c < pad_left else c ~ "u") %}
{% if r + c == 0 %}
    var best{{ j }} = value{{ id }};
{% if winners %}
    var first{{ j }} = {{ place }};
{% endif %}
{% else %}
    let better{{ id }} = are_better(value{{ id }}, best{{ j }});
    best{{ j }} = select(best{{ j }}, value{{ id }}, better{{ id }});
{% if winners %}
    first{{ j }} = select(first{{ j }}, {{ place }}, better{{ id }});
{% endif %}
{% endif %}
{% endfor %}
{% endfor %}
{% if last %}
    if column + {{ j }}u < params.out_width {
{% else %}
    {
{% endif %}
        let place = unit_place(line + {{ "column + " ~ j ~ "u" if last else "strip.across" }}, strip);
        y[place] = finished(best{{ j }}, place);
{% if winners %}
        winner[place] = vec4<f32>(first{{ j }});
{% endif %}
    }
{% endfor %}
}
{% else %}
{{ fours("winner", 1, texture) }}
{{ fours("dy", 2, texture) }}
@group(0) @binding(3) var<storage, read_write> dx: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn grad_input(at: Invocation) {
{{ begin() }}
{% for o in range(top, bottom + 1) %}
{% set r = o - top %}
    let row{{ r }} = strip.row + {{ o + 256 }}u - 256u;
    let has{{ r }} = row{{ r }} < params.out_height;
    let line{{ r }} = (strip.plane * params.out_height + select(0u, row{{ r }}, has{{ r }})) * width;
{{ load_units("winner" ~ r, "winner", "line" ~ r, "has" ~ r, "base", "width", from, to, 0 if last else 1, "-1.0") }}
{{ load_units("dy" ~ r, "dy", "line" ~ r, "has" ~ r, "base", "width", from, to, 0 if last else 1, "0.0") }}
{% endfor %}
{% call(o, q, place) store_fields(outputs, top, bottom, left, right) %}
{% set zero, won = ("vec4<f32>()", "vec4<f32>(" ~ place ~ ".0)") if last else ("0.0", place ~ ".0") %}
{{- "select(" ~ zero ~ ", " ~ column_of("dy" ~ o, from, q) ~ ", " ~ column_of("winner" ~ o, from, q) ~ " == " ~ won ~ ")" -}}
{% endcall %}
}
{% endif %}
