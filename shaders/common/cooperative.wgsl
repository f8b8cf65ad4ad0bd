// The same tile by cooperative matrices, f16 into f32, of {{ cooperative }}x{{ cooperative }}. Needs common/tile.wgsl.
//
// A workgroup brings a slab of 16 terms of both operands as before, now as f16. Each of its subgroups multiplies matrices
// that lie side by side in the tile; their sums stay with the subgroup, across the loop. At the end they go through workgroup
// memory, a matrix of every subgroup at a time, as the place of an element in a matrix is the device's own affair. No device
// has run this yet; the host uses it only where a first product comes out exactly.
{% if cooperative %}
{% set matrices = 4 * side * blocks // cooperative %}
// What a subgroup multiplies: so many matrices of one row.
{% set each = matrices * matrices * subgroup // (side * side) %}

var<workgroup> left: array<f16, {{ 4 * slab * pitch }}>;
var<workgroup> right: array<f16, {{ 4 * slab * pitch }}>;
var<workgroup> staged: array<f32, {{ side * side // subgroup * cooperative * cooperative }}>;
{% endif %}
{#- Ends a workgroup that has nothing to compute. Before cooperative matrices naga allows no return that it cannot see to be
    uniform: there it goes on and stores nothing. #}
{% macro unless(needed) %}
{% if cooperative %}
    let needed = {{ needed }};
{% else %}
    if !({{ needed }}) { return; }
{% endif %}
{% endmacro %}
{#- As `multiply`; `subgroup` is the subgroup's number in its workgroup, `lane` the invocation's in its subgroup. #}
{% macro multiply_cooperative(bring) %}
    let own = subgroup * {{ cooperative * cooperative }}u;
    let matrix_row = subgroup * {{ each }}u / {{ matrices }}u * {{ cooperative }}u;
    let matrix_column = subgroup * {{ each }}u % {{ matrices }}u * {{ cooperative }}u;
    // Workgroup memory is not zero at first.
    for (var element = lane; element < {{ cooperative * cooperative }}u; element += {{ subgroup }}u) {
        staged[own + element] = 0.0;
    }
    workgroupBarrier();
{% for c in range(each) %}
    var sum{{ c }} = coopLoad<coop_mat{{ cooperative }}x{{ cooperative }}<f32, C>>(&staged[own], {{ cooperative }}u);
{% endfor %}
    var next_left = {{ bring }}_left(view, slice.x + share.left_k);
    var next_right = {{ bring }}_right(view, slice.x + share.right_k);
    for (var start = slice.x; start < slice.y; start += SLAB) {
        workgroupBarrier();
{% for i in range(4) %}
        left[4u * share.left_at + {{ i }}u] = f16(next_left.{{ "xyzw"[i] }});
        right[4u * share.right_at + {{ i }}u] = f16(next_right.{{ "xyzw"[i] }});
{% endfor %}
        workgroupBarrier();
        next_left = {{ bring }}_left(view, start + SLAB + share.left_k);
        next_right = {{ bring }}_right(view, start + SLAB + share.right_k);
{% for k in range(0, slab, cooperative) %}
        let a{{ k }} = coopLoad<coop_mat{{ cooperative }}x{{ cooperative }}<f16, A>>(&left[{{ 4 * k * pitch }}u + matrix_row], 4u * PITCH);
{% for c in range(each) %}
        let b{{ k }}_{{ c }} = coopLoadT<coop_mat{{ cooperative }}x{{ cooperative }}<f16, B>>(
            &right[{{ 4 * k * pitch + c * cooperative }}u + matrix_column], 4u * PITCH);
        sum{{ c }} = coopMultiplyAdd(a{{ k }}, b{{ k }}_{{ c }}, sum{{ c }});
{% endfor %}
{% endfor %}
    }
{% endmacro %}
{#- As `store_all`. #}
{% macro store_cooperative(place, rows, first_channel, plane) %}
{% for c in range(each) %}
    workgroupBarrier();
    coopStoreT(sum{{ c }}, &staged[own], {{ cooperative }}u);
    workgroupBarrier();
    for (var four = lane; four < {{ cooperative * cooperative // 4 }}u; four += {{ subgroup }}u) {
        let r = four / {{ cooperative // 4 }}u;
        let q = four % {{ cooperative // 4 }}u * 4u;
        let row = block.row + matrix_row + r;
        let from_first = own + r * {{ cooperative }}u + q;
        let four_sums = vec4(
            staged[from_first], staged[from_first + 1u], staged[from_first + 2u], staged[from_first + 3u]);
        if needed && row < {{ rows }} {
            let place = {{ place }}(view, block.column + matrix_column + {{ c * cooperative }}u + q + FOUR);
            store(place, {{ first_channel }} + row, {{ plane }}, four_sums);
        }
    }
{% endfor %}
{% endmacro %}
