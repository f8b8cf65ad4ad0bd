// A sparse linear map along one axis: y[o, i, r] = sum over row i of weight x[o, column, r], for x [outer, columns, inner] and
// y [outer, rows, inner]. Resizing, reflections, repetitions and pooling over adaptive windows are all this, and so are their
// gradients, with rows and columns exchanged.
// The table is of floats. In the form `picks` every row has one element of weight 1, or none, which gives 0: its column, or a
// negative number. Else it has a pair for each row, where its entries begin and their number, and behind these the
// entries, pairs of a column and a weight. All are whole numbers below 2^24 but the weights.
// One invocation computes one element (`elements`), four that lie next to each other (`gathered`), or a four where inner is a
// number of them (`fours`: inner is then given in fours).
// Memory traffic: 4 bytes for each element of y and for each entry of its row, of which caches hold many, and the table. No
// barriers. Preconditions: columns of entries lie within x, count < 2^30.
// Needs common/grid.wgsl, common/divide.wgsl, common/texture.wgsl, common/read.wgsl.

override WORKGROUP: u32 = 64u;

struct Params {
    count: u32,
    inner: u32,
    rows: u32,
    columns: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
{% if form == "fours" %}
alias Value = vec4<f32>;
{{ fours("x", 1, texture) }}
{% else %}
alias Value = f32;
{{ scalars("x", 1, texture) }}
{% endif %}
{% if picks %}
{{ scalars("table", 2, table_texture) }}
{% else %}
{{ pairs("table", 2, table_texture) }}
{% endif %}
@group(0) @binding(3) var<storage, read_write> y: array<{{ "f32" if form == "elements" else "vec4<f32>" }}>;

{% set read = "x_at" if form == "fours" else "x_element" %}
fn value_of(index: u32) -> Value {
    let along = div_rem(index, params.inner);
    let place = div_rem(along.x, params.rows);
    let base = place.x * params.columns * params.inner + along.y;
{% if picks %}
    let column = table_element(place.y);
    let value = {{ read }}(base + u32(max(column, 0.0)) * params.inner);
    return select(Value(), value, column >= 0.0);
{% else %}
    let row = table_pair(place.y);
    let first = u32(row.x);
    let end = first + u32(row.y);
    var sum = Value();
    for (var k = first; k < end; k++) {
        let entry = table_pair(k);
        sum += entry.y * {{ read }}(base + u32(entry.x) * params.inner);
    }
    return sum;
{% endif %}
}

@compute @workgroup_size(WORKGROUP)
fn forward(at: Invocation) {
    let index = flat_workgroup(at.group, at.groups) * WORKGROUP + at.local;
{% if form == "gathered" %}
    if 4u * index >= params.count {
        return;
    }
    // The last four may have fewer elements.
{% for k in range(4) %}
    let value{{ k }} = value_of(min(4u * index + {{ k }}u, params.count - 1u));
{% endfor %}
    y[index] = vec4(value0, value1, value2, value3);
{% else %}
    if index >= params.count {
        return;
    }
    y[index] = value_of(index);
{% endif %}
}
