// A 64x64 tile of a matrix product, by a workgroup of 16x16 invocations with 4x4 results each. The two operands come
// through workgroup memory in slabs of 16 along the summed axis; who fills them puts a barrier before and after.

const TILE = 64u;
const SLAB = 16u;
// In vec4: the 16 of a tile and one more, so that a column of the slab does not fall into one memory bank.
const PITCH = 17u;
const FOUR = vec4<u32>(0u, 1u, 2u, 3u);

var<workgroup> left: array<vec4<f32>, SLAB * PITCH>;
var<workgroup> right: array<vec4<f32>, SLAB * PITCH>;

// The rows of an invocation's 4x4 results.
struct Results {
    a: vec4<f32>,
    b: vec4<f32>,
    c: vec4<f32>,
    d: vec4<f32>,
}

fn add_term(results: Results, k: u32, at: vec2<u32>) -> Results {
    let l = left[k * PITCH + at.y];
    let r = right[k * PITCH + at.x];
    return Results(
        fma(vec4(l.x), r, results.a),
        fma(vec4(l.y), r, results.b),
        fma(vec4(l.z), r, results.c),
        fma(vec4(l.w), r, results.d),
    );
}

fn add_slab(before: Results, at: vec2<u32>) -> Results {
    var results = before;
    for (var k = 0u; k < SLAB; k += 4u) {
        results = add_term(results, k, at);
        results = add_term(results, k + 1u, at);
        results = add_term(results, k + 2u, at);
        results = add_term(results, k + 3u, at);
    }
    return results;
}
