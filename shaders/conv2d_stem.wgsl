// The first convolution of a network, of up to four channels, f32, NCHW, for GPUs: the image goes through workgroup memory as a
// patch, not tap by tap. Needs common/grid.wgsl, common/divide.wgsl, common/conv2d.wgsl, common/functions.wgsl,
// common/chain.wgsl, common/tile.wgsl, common/moments.wgsl.
//
//   y[n, o, oy, ox] = sum over c, ky, kx of w[o, (c, ky, kx)] * x[n, c, oy * {{ stride_height }} + ky - pad, ox * {{ stride_width }} + kx - pad]
//
// A workgroup of 16x16 computes 64 channels by 4x16 pixels of one image, an invocation four of either. It brings the {{ rows }} rows and
// {{ 4 * pitch_fours }} columns of the {{ channels }} channels that the pixels see, once, barrier; then it walks the taps, {{ lines }} rows of a kernel a slab, of which
// only the weights are brought. For a row of a kernel an invocation reads {{ span }} vec4 of the patch and uses them for all {{ kernel_width }} taps, as
// what four pixels see overlaps; w is in the order of the walk, so no tap is ever looked up.
//
// Ladder: conv2d_tiled.wgsl fetches each element of x {{ kernel_height * kernel_width }} times by addresses of its own, behind two divisions and four tests
// each; here the patch is fetched once, with about half of it shared with the neighbours. Neither is timed on a GPU.
//
// Memory traffic: {{ 4 * rows * 4 * pitch_fours * channels }} bytes of x and all w of the rows for 64x64 results; it may leave statistics (common/moments.wgsl),
// where the pixels are whole tiles. {{ 16 * (left_fours + right_fours) }} bytes of workgroup memory, two barriers a slab.
//
// Preconditions. No groups, no dilation, C <= 4; element counts are below 2^32; the bytes above are at most 16,384.

const ROWS = {{ rows }}u;
const FOURS = {{ pitch_fours }}u;
const TAPS = {{ lines * kernel_width }}u;
{% set rounds = (lines * kernel_width * 16 + 255) // 256 %}

struct View {
    /// The tile's image and first pixel.
    image: u32,
    row: u32,
    column: u32,
}

// Tiles of an image, down and across.
fn tiles_of_image() -> vec2<u32> {
    return vec2(tiles(params.out_height, 4u), tiles(params.out_width, 16u));
}

// Four positions of a tile are four pixels of a row.
fn forward_target(view: View, columns: vec4<u32>) -> Target {
    let four = columns.x % 64u / 4u;
    let row = view.row + four / 4u;
    let column = view.column + four % 4u * 4u + FOUR;
    let inside = vec4(view.image < params.batch && row < params.out_height) & (column < vec4(params.out_width));
    let plane = view.image * params.out_channels * params.out_height;
    return Target((plane + row) * params.out_width + column, inside);
}

// Four neighbours of a row of the patch.
fn patch_four(view: View, index: u32) -> vec4<f32> {
    let channel = index / (ROWS * FOURS);
    // Left of or above the image the position wraps round to a huge number.
    let row = view.row * {{ stride_height }}u + index / FOURS % ROWS - params.pad_top;
    let column = view.column * {{ stride_width }}u + index % FOURS * 4u - params.pad_left + FOUR;
    let seen = vec4(view.image < params.batch && row < params.in_height) & (column < vec4(params.in_width));
    let plane = (view.image * {{ channels }}u + channel) * params.in_height;
    return image_at((plane + row) * params.in_width + column, seen);
}

// The weights of four rows at one tap; `start` is the slab's first.
fn weights_four(row: u32, start: u32, index: u32) -> vec4<f32> {
    let rows = row + index / TAPS * 4u + FOUR;
    let tap = start + index % TAPS;
    let there = vec4(index < {{ lines * kernel_width * 16 }}u && tap < {{ channels * kernel_height * kernel_width }}u);
    return factor_at(rows * {{ channels * kernel_height * kernel_width }}u + tap, there & (rows < vec4(params.out_channels)));
}

@compute @workgroup_size(16, 16)
fn forward(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
) {
    let at = local.xy;
    let lane = at.y * 16u + at.x;
    let of_image = tiles_of_image();
    let columns = 64u * params.batch * of_image.x * of_image.y;
    let block = block_at(flat_workgroup(id, count), params.out_channels, columns, 1u);
    if block.rest > 0u { return; }
    let line = block.column / 64u / of_image.y;
    let view = View(line / of_image.x, line % of_image.x * 4u, block.column / 64u % of_image.y * 16u);
    for (var index = lane; index < {{ channels * rows * pitch_fours }}u; index += 256u) {
        right[index] = patch_four(view, index);
    }
{% for r in range(4) %}
    var sum0_0_{{ r }} = vec4<f32>();
{% endfor %}
{% for round in range(rounds) %}
    var next{{ round }} = weights_four(block.row, 0u, lane + {{ 256 * round }}u);
{% endfor %}
    for (var first = 0u; first < {{ channels * kernel_height }}u; first += {{ lines }}u) {
        workgroupBarrier();
{% for round in range(rounds) %}
        let into{{ round }} = lane + {{ 256 * round }}u;
        if into{{ round }} < {{ lines * kernel_width * 16 }}u { left[into{{ round }} % TAPS * 17u + into{{ round }} / TAPS] = next{{ round }}; }
{% endfor %}
        workgroupBarrier();
{% for round in range(rounds) %}
        next{{ round }} = weights_four(block.row, (first + {{ lines }}u) * {{ kernel_width }}u, lane + {{ 256 * round }}u);
{% endfor %}
{% for l in range(lines) %}
        let row{{ l }} = (first + {{ l }}u) / {{ kernel_height }}u * ROWS + (first + {{ l }}u) % {{ kernel_height }}u + at.x / 4u * {{ stride_height }}u;
{% for f in range(span) %}
        let x{{ l }}_{{ f }} = right[row{{ l }} * FOURS + at.x % 4u * {{ stride_width }}u + {{ f }}u];
{% endfor %}
{% for kx in range(kernel_width) %}
{% set k = l * kernel_width + kx %}
        let w{{ k }} = left[{{ 17 * k }}u + at.y];
        let r{{ k }} = vec4({% for p in range(4) %}{% set e = kx + p * stride_width %}x{{ l }}_{{ e // 4 }}.{{ "xyzw"[e % 4] }}{{ ", " if not loop.last }}{% endfor %});
{% for r in range(4) %}
        sum0_0_{{ r }} = fma(vec4(w{{ k }}.{{ "xyzw"[r] }}), r{{ k }}, sum0_0_{{ r }});
{% endfor %}
{% endfor %}
{% endfor %}
    }
{{ store_all("forward_target", "params.out_channels", "0u", "params.out_height * params.out_width") }}
{{ leave_moments("params.out_channels", "0u", "columns") if statistics }}
}
