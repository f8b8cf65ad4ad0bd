// 2-d average pooling in strips (common/strips.wgsl), with the window unrolled in the text, of planes and of channels-last
// images (C a multiple of 4).
//
// The maths is that of avg_pool2d.wgsl. One invocation computes {{ columns }} neighbours of a row of y (forward), or the
// {{ stride_height }} by {{ columns * stride_width }} elements of dx that belong to as many windows (grad_input); of channels-last images for four channels:
// gathers, no atomics. What is not in the input counts as zero.
// Memory traffic: forward reads each input about kernel_height / stride_height times (caches hold the overlap) and writes 4
// bytes an output; grad_input reads each dy as often and writes 4 bytes an input. No barriers.
// `omma bench ops --filter "avg pool 2" --variants` on two cores of a CPU (lavapipe, AVX2), milliseconds, where a copy moved
// 1.5 GB/s:
//   forward  gradient
//   24.0     56.3      avg_pool2d.wgsl, one element an invocation
//   15.1      7.2      this, from buffers
//    5.9     12.8      avg_pool2d_unrolled.wgsl, four elements, from textures
//    3.6      4.6      this: 4.5 and 3.5 GB/s
// Nothing has been timed on a GPU.
// Preconditions: those of avg_pool2d.wgsl; of planes, rows of y are whole fours and in_width = out_width * stride_width.
// Needs common/grid.wgsl, common/divide.wgsl, common/window.wgsl, common/average.wgsl, common/texture.wgsl, common/read.wgsl,
// common/strips.wgsl, common/functions.wgsl, common/chain.wgsl, common/epilogue.wgsl.

override WORKGROUP: u32 = 64u;
{% set per = 1 if last else 4 %}
{% set outputs = columns // per %}

{{ finishing(4) }}
{% if entry == "forward" %}
{{ fours("x", 1, texture) }}
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn forward(at: Invocation) {
{{ begin() }}
{% for j in range(outputs) %}
    var sum{{ j }} = vec4<f32>();
{% endfor %}
{% for r in range(kernel_height) %}
    // Above the image the number wraps round to a huge one.
    let row{{ r }} = strip.row * {{ stride_height }}u + {{ r }}u - params.pad_top;
    let has{{ r }} = row{{ r }} < params.in_height;
    let line{{ r }} = (strip.plane * params.in_height + select(0u, row{{ r }}, has{{ r }})) * width;
{{ load_units("x" ~ r, "x", "line" ~ r, "has" ~ r, "base", "width", from, to, own, "0.0") }}
{% for j in range(outputs) %}
{% for c in range(kernel_width) %}
{% set first = j * per * stride_width + c - pad_left %}
{% if last %}
    sum{{ j }} += {{ column_of("x" ~ r, from, first) }};
{% else %}
    sum{{ j }} += vec4({% for k in range(4) %}{{ column_of("x" ~ r, from, first + k * stride_width) }}{{ ", " if not loop.last }}{% endfor %});
{% endif %}
{% endfor %}
{% endfor %}
{% endfor %}
    let height = f32(extent_h(strip.row));
    let column = strip.across * {{ columns }}u;
    let line = (strip.plane * params.out_height + strip.row) * units(params.out_width);
{% for j in range(outputs) %}
{% if last %}
    if column + {{ j }}u < params.out_width {
        let place{{ j }} = unit_place(line + column + {{ j }}u, strip);
        y[place{{ j }}] = finished(sum{{ j }} / (height * f32(extent_w(column + {{ j }}u))), place{{ j }});
    }
{% else %}
    let widths = vec4({% for k in range(4) %}f32(extent_w(column + {{ k }}u)){{ ", " if not loop.last }}{% endfor %});
    y[line + strip.across] = finished(sum0 / (height * widths), line + strip.across);
{% endif %}
{% endfor %}
}
{% else %}
{{ fours("dy", 1, texture) }}
@group(0) @binding(2) var<storage, read_write> dx: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn grad_input(at: Invocation) {
{{ begin() }}
    let column = strip.across * {{ columns }}u;
    // Of a window that is none any number will do but zero.
{% for o in range(from * per, (to + 1) * per) %}
    let width{{ loop.index0 }} = f32(max(extent_w(column + {{ o + 256 }}u - 256u), 1u));
{% endfor %}
{% for o in range(top, bottom + 1) %}
{% set r = o - top %}
    let row{{ r }} = strip.row + {{ o + 256 }}u - 256u;
    let has{{ r }} = row{{ r }} < params.out_height;
    let height{{ r }} = f32(max(extent_h(row{{ r }}), 1u));
    let line{{ r }} = (strip.plane * params.out_height + select(0u, row{{ r }}, has{{ r }})) * width;
{{ load_units("dy" ~ r, "dy", "line" ~ r, "has" ~ r, "base", "width", from, to, 0 if last else 1, "0.0") }}
{% for unit in range(to - from + 1) %}
{% if last %}
    let share{{ r }}_{{ unit }} = dy{{ r }}_{{ unit }} / (height{{ r }} * width{{ unit }});
{% else %}
    let widths{{ r }}_{{ unit }} = vec4({% for k in range(4) %}width{{ 4 * unit + k }}{{ ", " if not loop.last }}{% endfor %});
    let share{{ r }}_{{ unit }} = dy{{ r }}_{{ unit }} / (height{{ r }} * widths{{ r }}_{{ unit }});
{% endif %}
{% endfor %}
{% endfor %}
{% call(o, q, place) store_fields(outputs, top, bottom, left, right) %}
{{- column_of("share" ~ o, from, q) -}}
{% endcall %}
}
{% endif %}
