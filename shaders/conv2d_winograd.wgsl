// The transforms of Winograd's convolution F(4x4, 3x3), f32: Lavin and Gray, Fast Algorithms for Convolutional Neural
// Networks (2016). Needs common/grid.wgsl, common/divide.wgsl, common/transforms.wgsl, common/texture.wgsl,
// common/read.wgsl, common/functions.wgsl and common/chain.wgsl.
//
// A tile of 4x4 results of a 3x3 convolution of stride 1 is At ((G g Gt) * (Bt d B)) A, with d the 6x6 elements that it sees,
// g a filter and * element by element: 36 multiplications in place of 144. Summed over channels these are 36 matrix products
// between the transforms of this file:
//
//   entry point   one invocation                reads                      writes
//   weights       a channel, four columns       9 taps                     36 elements of u, in blocks of columns
//   image         a tile, four channels         6x6 fours of the image     36 elements of v [36, tiles, C / 4]
//   results       a tile, four columns          36 elements of m [36, tiles, O / 4]
//                                                                          4x4 fours of y, and what follows
//   gradients     a tile, four channels         4x4 fours of dy            36 elements of z [36, tiles, O / 4]
//   filters       a channel, four columns       36 elements of s [36, C, O / 4]
//                                                                          9 taps of dw
//
// That is for adapters that run shaders on a CPU: images are [N, H, W, C], the weight [KH, KW, C, O], and
// conv2d_winograd_product.wgsl and conv2d_winograd_weight.wgsl multiply. For GPUs there is the `planar` form, of single
// elements of [N, C, H, W] and [O, C, KH, KW], with u [36, O, C], v [36, C, tiles], m and z [36, O, tiles], s [36, O, C]: the
// products are then one 1x1 convolution in 36 groups, forward or its gradient of the weight, over an image of one row whose
// pixels are tiles (conv2d_pointwise.wgsl or conv2d_tiled.wgsl, and conv2d_tiled_weight.wgsl). Either way neighbouring
// invocations read and write the 36 elements side by side.
//
// For the gradient of the input the image is dy, the columns are the channels of x, and `weights` turns the filters round.
// The sum of dy * y over a tile is that of (A dy At) * (G g Gt) * (Bt d B), so its gradient by g, that of the weight, is
// Gt s G with s the sum over tiles of z * v, where z = A dy At. A call takes `tiles` of all tiles from `first` on; s goes on
// from call to call or, planar, dw does (`more`).
//
// Accuracy. The transforms add numbers of other pixels that cancel later, so an error is in proportion to the largest numbers
// of a tile, not to those that a result is the sum of (widen_to_winograd in src/reference/conv2d.rs derives the bound). On
// normal random numbers, 64 channels, it is 4 times that of a plain sum (cargo test winograd -- --nocapture prints it).
//
// An infinity or NaN of the image spreads over all results of the tiles that see it.
//
// The planar form was not timed on a GPU: it stands behind the plain sums there, for `--tune` to choose.
//
// Ladder, 3x3, 128 channels at 28x28, forward, in GFLOP/s of the plain sums, on two cores with AVX-512 that others were using,
// too (omma bench conv --filter "[1, 128, 28, 28]", lavapipe 22.3): plain sums (--exclude winograd) 32 to 39, this 50 to 59.
//
// Memory traffic: the image 36/16 times, written and read, and so the results. No workgroup memory, no barriers. A training
// step keeps the transformed image of the forward pass for the gradient of the weight, where one call does for it.
//
// Preconditions. A 3x3 kernel, stride 1, no dilation, no groups; but for `planar` C and O are multiples of 4; element counts
// are below 2^30.

{% set side = 4 if entry == "gradients" else 6 %}
override WORKGROUP: u32 = 64u;

{% if planar %}
alias Value = f32;
{{ scalars("source", 1, 0) }}
{% else %}
alias Value = vec4<f32>;
{{ fours("source", 1, texture) }}
{{ elements("source") }}
{% endif %}
{% set read = "source_element" if planar else "source_at" %}
@group(0) @binding(2) var<storage, read_write> result: array<Value>;
{% for operand in operands %}
{% set name = "values" ~ loop.index0 %}
{{ scalars(name, loop.index0 + 3, 0) if planar else fours(name, loop.index0 + 3, operand.texture) }}
{% endfor %}

{% if entry == "weights" %}
@compute @workgroup_size(WORKGROUP)
fn weights(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
{% if planar %}
    let place = div_rem(index, params.depth);
    if place.x >= params.columns { return; }
    let into = index;
{% else %}
    let place = div_rem(index, params.columns);
    let channels = 4u * params.depth;
    if place.x >= channels { return; }
    let into = (place.y / {{ block }}u * channels + place.x) * {{ block }}u + place.y % {{ block }}u;
{% endif %}
    // Of a transposed convolution rows of the weight are the columns here, and the taps count from the other end.
{% for i in range(3) %}
{% for j in range(3) %}
{% if planar and transposed %}
    let g{{ i }}{{ j }} = source_element(9u * (place.y * params.columns + place.x) + {{ 8 - 3 * i - j }}u);
{% elif planar %}
    let g{{ i }}{{ j }} = source_element(9u * index + {{ 3 * i + j }}u);
{% elif transposed %}
    let tap{{ i }}{{ j }} = ({{ 8 - 3 * i - j }}u * 4u * params.columns + 4u * place.y) * channels + place.x;
    let g{{ i }}{{ j }} = vec4({% for k in range(4) %}source_element(tap{{ i }}{{ j }} + {{ k }}u * channels){{ ", " if not loop.last }}{% endfor %});
{% else %}
    let g{{ i }}{{ j }} = source_at(({{ 3 * i + j }}u * channels + place.x) * params.columns + place.y);
{% endif %}
{% endfor %}
{% endfor %}
{% for j in range(3) %}
{{ g("t", "g", j) }}
{% endfor %}
{% for i in range(6) %}
{{ g("u" ~ i, "t" ~ i, "") }}
{% for j in range(6) %}
    result[{{ 6 * i + j }}u * params.plane + into] = u{{ i }}{{ j }};
{% endfor %}
{% endfor %}
}
{% elif entry == "image" or entry == "gradients" %}
{% set transform = a if entry == "gradients" else bt %}
@compute @workgroup_size(WORKGROUP)
fn {{ entry }}(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    // A tile and a channel.
    let place = {{ "div_rem(index, params.tiles).yx" if planar else "div_rem(index, params.depth)" }};
    let tile = tile_at(params.first + place.x);
    if place.{{ "y >= params.depth" if planar else "x >= params.tiles" }} || tile.x >= params.batch { return; }
    let plane = {{ "tile.x * params.depth + place.y" if planar else "tile.x" }};
    // Above and left of the image a position wraps round to a huge number.
    let top = 4u * tile.y - params.pad_top;
    let left = 4u * tile.z - params.pad_left;
{% for i in range(side) %}
    let line{{ i }} = (plane * params.height + top + {{ i }}u) * params.width + left;
    let seen{{ i }} = top + {{ i }}u < params.height;
{% endfor %}
{% for j in range(side) %}
    let inside{{ j }} = left + {{ j }}u < params.width;
{% for i in range(side) %}
    let see{{ i }}{{ j }} = seen{{ i }} && inside{{ j }};
    let pixel{{ i }}{{ j }} = line{{ i }} + {{ j }}u;
    let from{{ i }}{{ j }} = select(0u, pixel{{ i }}{{ j }}{{ " * params.depth + place.y" if not planar }}, see{{ i }}{{ j }});
    let d{{ i }}{{ j }} = select(Value(), {{ read }}(from{{ i }}{{ j }}), see{{ i }}{{ j }});
{% endfor %}
{{ transform("t", "d", j) }}
{% endfor %}
{% for i in range(6) %}
{{ transform("v" ~ i, "t" ~ i, "") }}
{% for j in range(6) %}
    result[{{ 6 * i + j }}u * params.plane + index] = v{{ i }}{{ j }};
{% endfor %}
{% endfor %}
}
{% elif entry == "filters" %}
@compute @workgroup_size(WORKGROUP)
fn filters(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    let count = {{ "4u * " if not planar }}params.depth * params.columns;
    if index >= count { return; }
{% for j in range(6) %}
{% for i in range(6) %}
    let s{{ i }}{{ j }} = {{ read }}({{ 6 * i + j }}u * params.plane + index);
{% endfor %}
{{ gt("t", "s", j) }}
{% endfor %}
{% for i in range(3) %}
{{ gt("g" ~ i, "t" ~ i, "") }}
{% for j in range(3) %}
{% if planar %}
    result[9u * index + {{ 3 * i + j }}u] {{ "+=" if more else "=" }} g{{ i }}{{ j }};
{% else %}
    result[{{ 3 * i + j }}u * count + index] = g{{ i }}{{ j }};
{% endif %}
{% endfor %}
{% endfor %}
}
{% else %}
@compute @workgroup_size(WORKGROUP)
fn results(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
    // A tile and a column.
    let place = {{ "div_rem(index, params.tiles).yx" if planar else "div_rem(index, params.columns)" }};
    let tile = tile_at(params.first + place.x);
    if place.{{ "y >= params.columns" if planar else "x >= params.tiles" }} || tile.x >= params.batch { return; }
    let plane = {{ "tile.x * params.columns + place.y" if planar else "tile.x" }};
    let left = 4u * tile.z;
{% for j in range(6) %}
{% for i in range(6) %}
    let m{{ i }}{{ j }} = {{ read }}({{ 6 * i + j }}u * params.plane + index);
{% endfor %}
{{ at("t", "m", j) }}
{% endfor %}
{% for operand in operands %}
{% set value = ("vec4(values" ~ loop.index0 ~ "_element(") if planar else ("values" ~ loop.index0 ~ "_at(") %}
{% if operand.channel %}
    let operand{{ loop.index0 }} = {{ value }}place.y){{ ")" if planar }};
{% elif operand.scalar %}
    let operand{{ loop.index0 }} = {{ value }}0u){{ ")" if planar else ".xxxx" }};
{% endif %}
{% endfor %}
{% for i in range(4) %}
    let row{{ i }} = 4u * tile.y + {{ i }}u;
    if row{{ i }} < params.out_height {
{{ at("y" ~ i, "t" ~ i, "") }}
        let line = (plane * params.out_height + row{{ i }}) * params.out_width + left;
{% if planar %}
{% for j in range(4) %}
        let inside{{ j }} = left + {{ j }}u < params.out_width;
        let at{{ j }} = select(line, line + {{ j }}u, inside{{ j }});
{% endfor %}
{% for operand in operands %}
{% set value = "values" ~ loop.index0 ~ "_element" %}
{% if not operand.channel and not operand.scalar %}
        let operand{{ loop.index0 }} = vec4({{ value }}(at0), {{ value }}(at1), {{ value }}(at2), {{ value }}(at3));
{% endif %}
{% endfor %}
        let y{{ i }} = chain(vec4(y{{ i }}0, y{{ i }}1, y{{ i }}2, y{{ i }}3){% for operand in operands %}, operand{{ loop.index0 }}{% endfor %});
{% for j in range(4) %}
        if inside{{ j }} { result[at{{ j }}] = y{{ i }}.{{ "xyzw"[j] }}; }
{% endfor %}
{% else %}
{% for j in range(4) %}
        if left + {{ j }}u < params.out_width {
            let at = (line + {{ j }}u) * params.columns + place.y;
            result[at] = chain(y{{ i }}{{ j }}
                {%- for operand in operands %}, {{ "operand" ~ loop.index0 if operand.channel or operand.scalar else "values" ~ loop.index0 ~ "_at(at)" }}{% endfor %});
        }
{% endfor %}
{% endif %}
    }
{% endfor %}
}
{% endif %}
