//! Host and shaders agree: every kernel that can be chosen is parsed, validated and translated for every back end, and its
//! parameters and bindings are those that the host sends. No shader lies about unused, and every family is whole.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use naga::back::{hlsl, msl, spv};
use naga::valid::{Capabilities, GlobalUse, ValidationFlags, Validator};
use omma::{BindingKind, FAMILIES, Kernel, PlanOptions, Shader};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A kernel with how the plan binds its buffers and textures, from binding 1 on.
struct Planned {
    kernel: Kernel,
    text: Arc<str>,
    bindings: Vec<BindingKind>,
}

/// Every kernel of every case under every variant, once.
fn kernels(gpu: &omma::Gpu) -> Vec<Planned> {
    let mut kernels = BTreeMap::new();
    for case in FAMILIES.iter().flat_map(|family| (family.cases)()) {
        for variant in case.variants(gpu).unwrap() {
            let plan = case.plan(gpu, &PlanOptions::default().prefer(variant)).unwrap();
            for (kernel, bindings) in plan.kernels().zip(plan.bindings()) {
                let text = kernel.source().unwrap();
                let key = (text.clone(), kernel.entry, format!("{:?} {bindings:?}", kernel.constants));
                kernels.entry(key).or_insert_with(|| Planned { kernel: kernel.clone(), text, bindings });
            }
        }
    }
    kernels.into_values().collect()
}

/// Every kernel of convolutions and dense layers on GPUs whose cooperative matrices have so many rows.
fn cooperative_kernels(gpu: &omma::Gpu, size: u32) -> Vec<Planned> {
    let mut capabilities = gpu.capabilities().clone();
    capabilities.class = omma::DeviceClass::Gpu;
    capabilities.features |= omma::wgpu::Features::SUBGROUP | omma::wgpu::Features::SHADER_F16;
    capabilities.downlevel |= omma::wgpu::DownlevelFlags::SHADER_F16_IN_F32;
    (capabilities.info.subgroup_min_size, capabilities.info.subgroup_max_size) = (32, 32);
    capabilities.cooperative = omma::Cooperative::Sound(size);
    let families = FAMILIES.iter().filter(|family| ["conv2d", "dense"].contains(&family.stem));
    let variants = ["cooperative", "pointwise_cooperative"];
    let cases = families.flat_map(|family| (family.cases)());
    let plans = cases
        .flat_map(|case| {
            variants.map(|variant| case.plan_for(&capabilities, &PlanOptions::default().prefer(variant)).unwrap())
        })
        .map(|plan| {
            plan.kernels().zip(plan.bindings()).map(|(kernel, bindings)| (kernel.clone(), bindings)).collect::<Vec<_>>()
        });
    let kernels: BTreeMap<_, _> = plans
        .flatten()
        .filter(|(kernel, _)| variants.contains(&kernel.variant))
        .map(|(kernel, bindings)| {
            let text = kernel.source().unwrap();
            ((text.clone(), kernel.entry), Planned { kernel, text, bindings })
        })
        .collect();
    kernels.into_values().collect()
}

/// Parses a text and holds it against the rules of a device without any optional feature but subgroups, the widening of
/// f16 and cooperative matrices, where it calls them.
fn module(label: &str, text: &str) -> (naga::Module, naga::valid::ModuleInfo) {
    let mut capabilities = Capabilities::default();
    capabilities.set(Capabilities::SUBGROUP, calls_subgroups(text));
    capabilities.set(Capabilities::SHADER_FLOAT16_IN_FLOAT32, text.contains("unpack2x16float("));
    if text.contains("coopMultiplyAdd(") {
        capabilities |= Capabilities::COOPERATIVE_MATRIX | Capabilities::SHADER_FLOAT16 | Capabilities::SUBGROUP;
    }
    let module = naga::front::wgsl::parse_str(text).unwrap_or_else(|e| panic!("{label}: {}", e.emit_to_string(text)));
    let info = Validator::new(ValidationFlags::all(), capabilities).validate(&module);
    let info = info.unwrap_or_else(|error| panic!("{label}: {}", error.emit_to_string(text)));
    (module, info)
}

fn calls_subgroups(text: &str) -> bool {
    text.contains("subgroupShuffle(")
}

fn check_params(label: &str, module: &naga::Module, fields: &[(&str, &str)]) {
    let name = |handle: naga::Handle<naga::Type>| match module.types[handle].inner {
        naga::TypeInner::Scalar(naga::Scalar::U32) => "u32",
        naga::TypeInner::Scalar(naga::Scalar::I32) => "i32",
        naga::TypeInner::Scalar(naga::Scalar::F32) => "f32",
        ref other => panic!("{label}: a parameter is no 32-bit scalar but {other:?}"),
    };
    let of_name = |ty: &naga::Type| ty.name.as_deref() == Some("Params");
    let (_, ty) = module.types.iter().find(|(_, ty)| of_name(ty)).unwrap_or_else(|| panic!("{label}: no Params"));
    let naga::TypeInner::Struct { members, span } = &ty.inner else { panic!("{label}: Params is no struct") };
    let members: Vec<_> = members.iter().map(|m| (m.name.clone().unwrap(), m.offset, name(m.ty))).collect();
    let host: Vec<_> = (0..).zip(fields).map(|(i, (name, ty))| (name.to_string(), 4 * i, *ty)).collect();
    assert_eq!(members, host, "{label}: (field, offset, type) of the shader and of the host");
    assert_eq!(*span as usize, 4 * fields.len(), "{label}");
}

/// The host binds a uniform and then its buffers and textures; the entry point may use fewer, but none otherwise.
fn check_bindings(
    label: &str,
    module: &naga::Module,
    info: &naga::valid::ModuleInfo,
    entry: &str,
    bindings: &[BindingKind],
) {
    let index = module.entry_points.iter().position(|e| e.name == entry);
    let index = index.unwrap_or_else(|| panic!("{label}: no entry point `{entry}`"));
    let uses = info.get_entry_point(index);
    let mut found = HashMap::new();
    for (handle, variable) in module.global_variables.iter() {
        let used: GlobalUse = uses[handle];
        let (false, Some(at)) = (used.is_empty(), &variable.binding) else { continue };
        assert_eq!(at.group, 0, "{label}: {:?}", variable.name);
        assert!(found.insert(at.binding, (variable, used)).is_none(), "{label}: binding {} twice", at.binding);
    }
    for (binding, (variable, used)) in found {
        let name = variable.name.as_deref().unwrap_or("?");
        if variable.space == naga::AddressSpace::Uniform {
            assert_eq!(binding, 0, "{label}: the uniform `{name}`");
            continue;
        }
        let host = bindings.get((binding as usize).wrapping_sub(1));
        let host = *host.unwrap_or_else(|| panic!("{label}: the host binds nothing at {binding} (`{name}`)"));
        let (access, texture) = match (variable.space, &module.types[variable.ty].inner) {
            (naga::AddressSpace::Storage { access }, _) => (access, false),
            (
                naga::AddressSpace::Handle,
                naga::TypeInner::Image { class: naga::ImageClass::Storage { format, access }, .. },
            ) => {
                assert_eq!(*format, naga::StorageFormat::Rgba32Float, "{label}: `{name}`");
                (*access, true)
            }
            (space, ty) => panic!("{label}: `{name}` is bound in {space:?} as {ty:?}"),
        };
        assert_eq!(texture, host.is_texture(), "{label}: is `{name}` a texture in the shader, for the host");
        let stores = access.contains(naga::StorageAccess::STORE);
        assert_eq!(stores, host.writes(), "{label}: is `{name}` writable in the shader, by the host");
        assert_eq!(used.contains(GlobalUse::WRITE), host.writes(), "{label}: is `{name}` written");
    }
}

#[test]
fn params_and_bindings_are_the_hosts() {
    let Some(gpu) = crate::gpu() else { return };
    let kernels = kernels(gpu);
    assert!(kernels.len() > 50, "only {} kernels", kernels.len());
    for Planned { kernel, text, bindings } in &kernels {
        let label = kernel.label();
        let (module, info) = module(&label, text);
        check_params(&label, &module, kernel.shader.params);
        check_bindings(&label, &module, &info, kernel.entry, bindings);
        for (name, _) in &kernel.constants {
            let declared = module.overrides.iter().any(|(_, o)| o.name.as_deref() == Some(*name));
            assert!(declared, "{label}: no override `{name}`");
        }
    }
}

/// The kernel with its constants, within the limits and translated to SPIR-V.
fn specialised_to_spirv<'m>(
    kernel: &Kernel,
    module: &'m naga::Module,
    info: &'m naga::valid::ModuleInfo,
) -> (Cow<'m, naga::Module>, Cow<'m, naga::valid::ModuleInfo>) {
    let label = kernel.label();
    let stage = naga::ShaderStage::Compute;
    let constants = kernel.constants.iter().map(|&(name, value)| (name.to_string(), value)).collect();
    let entry = Some((stage, kernel.entry));
    let (module, info) = naga::back::pipeline_constants::process_overrides(module, info, entry, &constants)
        .unwrap_or_else(|error| panic!("{label}: {error:?}"));
    check_limits(&label, &module, &info);
    let pipeline = spv::PipelineOptions { shader_stage: stage, entry_point: kernel.entry.to_string() };
    let words = spv::write_vec(&module, &info, &spv::Options::default(), Some(&pipeline));
    assert!(!words.unwrap_or_else(|error| panic!("{label}: SPIR-V: {error}")).is_empty());
    (module, info)
}

#[test]
fn kernels_translate_for_every_back_end_within_default_limits() {
    let Some(gpu) = crate::gpu() else { return };
    for Planned { kernel, text, .. } in kernels(gpu) {
        let label = kernel.label();
        let (module, info) = module(&label, &text);
        let (module, info) = specialised_to_spirv(&kernel, &module, &info);
        let entry = Some((naga::ShaderStage::Compute, kernel.entry.to_string()));
        // The oldest Metal and Direct3D shader models that wgpu uses.
        let options = msl::Options { lang_version: (2, 0), ..Default::default() };
        let pipeline = msl::PipelineOptions { entry_point: entry.clone(), ..Default::default() };
        let (text, translation) =
            msl::write_string(&module, &info, &options, &pipeline).unwrap_or_else(|e| panic!("{label}: MSL: {e}"));
        assert!(text.contains("kernel void") && translation.entry_point_names[0].is_ok(), "{label}: MSL");

        let mut text = String::new();
        let options = hlsl::Options { shader_model: hlsl::ShaderModel::V5_1, ..Default::default() };
        let pipeline = hlsl::PipelineOptions { entry_point: entry };
        let translation = hlsl::Writer::new(&mut text, &options, &pipeline).write(&module, &info, None);
        let translation = translation.unwrap_or_else(|error| panic!("{label}: HLSL: {error}"));
        assert!(text.contains("numthreads") && translation.entry_point_names[0].is_ok(), "{label}: HLSL");
    }
}

/// No adapter of the tests need have the feature, so plans are made for one that has, and their kernels go where they can.
#[test]
fn cooperative_kernels_are_the_hosts_and_translate() {
    let Some(gpu) = crate::gpu() else { return };
    for size in [8, 16] {
        let kernels = cooperative_kernels(gpu, size);
        let entries: std::collections::BTreeSet<&str> = kernels.iter().map(|planned| planned.kernel.entry).collect();
        assert_eq!(entries.into_iter().collect::<Vec<_>>(), ["forward", "grad_input", "grad_weight"]);
        for Planned { kernel, text, bindings } in &kernels {
            let label = kernel.label();
            let (module, info) = module(&label, text);
            check_params(&label, &module, kernel.shader.params);
            check_bindings(&label, &module, &info, kernel.entry, bindings);
            let (module, info) = specialised_to_spirv(kernel, &module, &info);
            // Metal's matrices are 8x8.
            if size == 8 {
                let entry = Some((naga::ShaderStage::Compute, kernel.entry.to_string()));
                let options = msl::Options { lang_version: (2, 4), ..Default::default() };
                let pipeline = msl::PipelineOptions { entry_point: entry, ..Default::default() };
                let translated = msl::write_string(&module, &info, &options, &pipeline);
                let (text, _) = translated.unwrap_or_else(|error| panic!("{label}: MSL: {error}"));
                assert!(text.contains("simdgroup_half8x8") && text.contains("simdgroup_float8x8"), "{label}: {text}");
            }
        }
    }
}

/// WebGPU's defaults: 256 invocations a workgroup and 16 KiB of workgroup memory.
fn check_limits(label: &str, module: &naga::Module, info: &naga::valid::ModuleInfo) {
    let [entry] = module.entry_points.as_slice() else { panic!("{label}: one entry point is left") };
    let invocations: u32 = entry.workgroup_size.iter().product();
    assert!((1..=256).contains(&invocations), "{label}: {invocations} invocations");
    let mut layouter = naga::proc::Layouter::default();
    layouter.update(module.to_ctx()).unwrap();
    let uses = info.get_entry_point(0);
    let shared = |v: &naga::GlobalVariable| v.space == naga::AddressSpace::WorkGroup;
    let variables = module.global_variables.iter().filter(|(handle, v)| shared(v) && !uses[*handle].is_empty());
    let bytes: u32 = variables.map(|(_, variable)| layouter[variable.ty].size.next_multiple_of(16)).sum();
    assert!(bytes <= 16 * 1024, "{label}: {bytes} bytes of workgroup memory");
}

#[test]
fn every_entry_point_is_used_by_some_kernel() {
    let Some(gpu) = crate::gpu() else { return };
    let mut known: BTreeMap<String, bool> = BTreeMap::new();
    for Planned { kernel, text, .. } in kernels(gpu) {
        for entry in module(&kernel.label(), &text).0.entry_points {
            known.entry(format!("{}.{}", kernel.shader.name, entry.name)).or_default();
        }
        known.insert(format!("{}.{}", kernel.shader.name, kernel.entry), true);
    }
    let idle: Vec<&String> = known.iter().filter(|(_, used)| !**used).map(|(name, _)| name).collect();
    assert!(idle.is_empty(), "no case runs {idle:?}");
}

#[test]
fn every_function_of_single_elements_is_used_by_some_kernel() {
    let Some(gpu) = crate::gpu() else { return };
    let texts: Vec<Arc<str>> = kernels(gpu).into_iter().map(|planned| planned.text).collect();
    let files = FAMILIES.iter().flat_map(|family| family.shaders).find(|shader| shader.name == "pointwise").unwrap();
    // The first file is shared with others.
    let lines = files.functions[1..].iter().flat_map(|file| file.lines().filter(|line| line.starts_with("fn ")));
    let heads: Vec<&str> = lines.map(|line| line.split_inclusive('(').next().unwrap()).collect();
    assert!(heads.len() > 50, "{heads:?}");
    let idle: Vec<&&str> = heads.iter().filter(|head| !texts.iter().any(|text| text.contains(**head))).collect();
    assert!(idle.is_empty(), "no case calls {idle:?}");
}

/// A kernel of the tests' own, to see that the comparisons above find what is wrong.
const SAMPLE: &str = "
    struct Params { count: u32, scale: f32 }
    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> x: array<f32>;
    @group(0) @binding(2) var<storage, read_write> y: array<f32>;
    @compute @workgroup_size(64)
    fn forward(@builtin(global_invocation_id) id: vec3<u32>) {
        if id.x < params.count { y[id.x] = params.scale * x[id.x]; }
    }
";

#[test]
fn a_sample_agrees() {
    let (module, info) = module("sample", SAMPLE);
    check_params("sample", &module, &[("count", "u32"), ("scale", "f32")]);
    check_bindings("sample", &module, &info, "forward", &[BindingKind::Read, BindingKind::ReadWrite]);
}

#[test]
#[should_panic(expected = "(field, offset, type)")]
fn swapped_params_are_found() {
    check_params("sample", &module("sample", SAMPLE).0, &[("scale", "f32"), ("count", "u32")]);
}

#[test]
#[should_panic(expected = "(field, offset, type)")]
fn a_parameter_of_another_type_is_found() {
    check_params("sample", &module("sample", SAMPLE).0, &[("count", "u32"), ("scale", "u32")]);
}

#[test]
#[should_panic(expected = "is `y` writable")]
fn a_read_only_result_is_found() {
    let (module, info) = module("sample", SAMPLE);
    check_bindings("sample", &module, &info, "forward", &[BindingKind::Read; 2]);
}

#[test]
#[should_panic(expected = "the host binds nothing at 2 (`y`)")]
fn a_missing_buffer_is_found() {
    let (module, info) = module("sample", SAMPLE);
    check_bindings("sample", &module, &info, "forward", &[BindingKind::Read]);
}

#[test]
#[should_panic(expected = "sample")]
fn an_optional_feature_is_found() {
    module("sample", "enable f16; var<private> half: f16;");
}

/// The files of a folder with this extension, folders within it included, but for what cargo built there.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            files.extend(self::files(&path, extension));
        } else if path.extension().is_some_and(|e| e == extension) {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn stems(folder: &str, extension: &str) -> Vec<String> {
    let folder = root().join(folder);
    let here = |path: &PathBuf| path.parent() == Some(folder.as_path());
    let stem = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_string();
    files(&folder, extension).into_iter().filter(here).map(stem).collect()
}

#[test]
fn every_family_stands_in_four_places() {
    for family in FAMILIES {
        let mut places = vec![format!("src/ops/{}.rs", family.stem), format!("src/reference/{}.rs", family.stem)];
        places.push(format!("tests/ops/{}.rs", family.stem));
        // A family may run another one's kernels: then its row has no shader.
        places.extend(family.shaders.iter().map(|shader| format!("shaders/{}.wgsl", shader.name)));
        for place in places {
            assert!(root().join(&place).is_file(), "{place} is missing");
        }
        let own = family.shaders.is_empty() || family.shaders.iter().any(|shader| shader.name == family.stem);
        assert!(own, "no shader of `{}` has its name", family.stem);
    }
    // A file without its `mod` line would silently not run.
    for folder in ["tests/ops", "tests/reference"] {
        let lines = std::fs::read_to_string(root().join(folder).join("mod.rs")).unwrap();
        for stem in stems(folder, "rs").iter().filter(|stem| *stem != "mod") {
            assert!(lines.contains(&format!("mod {stem};")), "{folder}/{stem}.rs has no `mod` line");
        }
    }
    let sorted = FAMILIES.is_sorted_by_key(|family| family.stem);
    assert!(sorted, "the rows are in order of their names");
}

#[test]
fn every_file_belongs_to_a_family() {
    let rows: Vec<&str> = FAMILIES.iter().flat_map(|family| family.shaders).map(|shader| shader.name).collect();
    for name in stems("shaders", "wgsl") {
        assert!(rows.contains(&name.as_str()), "shaders/{name}.wgsl is in no row");
    }
    for name in stems("tests/ops", "rs").iter().filter(|name| *name != "mod") {
        assert!(FAMILIES.iter().any(|family| family.stem == name), "tests/ops/{name}.rs tests no family");
    }
    // What families share has a file, but no row.
    let shared = ["axes", "chain", "elementwise", "mod", "padding", "per_axis", "reshape"];
    for folder in ["src/ops", "src/reference"] {
        for name in stems(folder, "rs").iter().filter(|name| !shared.contains(&name.as_str())) {
            assert!(FAMILIES.iter().any(|family| family.stem == name), "{folder}/{name}.rs has no row");
        }
    }
}

#[test]
fn every_common_file_is_used() {
    for path in files(&root().join("shaders/common"), "wgsl") {
        let text = std::fs::read_to_string(&path).unwrap();
        let mut shaders = FAMILIES.iter().flat_map(|family| family.shaders);
        let has = |shader: &&Shader| [shader.common, shader.functions].concat().contains(&text.as_str());
        assert!(shaders.any(has), "{} is in no shader", path.display());
    }
}

#[test]
fn files_are_small_and_begin_with_what_they_are() {
    let mut faults = Vec::new();
    let rust = ["src", "tests", "benches", "examples"].map(|folder| (folder, "rs", 450));
    for (folder, extension, limit) in rust.into_iter().chain([("shaders", "wgsl", 250)]) {
        let files = files(&root().join(folder), extension);
        assert!(!files.is_empty());
        for path in files {
            let text = std::fs::read_to_string(&path).unwrap();
            let name = path.strip_prefix(root()).unwrap().display();
            let header = if extension == "wgsl" { "// " } else { "//! " };
            let lines = text.lines().count();
            if !text.starts_with(header) {
                faults.push(format!("{name} has no header"));
            }
            if lines > limit {
                faults.push(format!("{name} has {lines} lines, at most {limit}"));
            }
            if !text.ends_with('\n') || text.contains('\t') {
                faults.push(format!("{name} ends without a newline, or has tabs"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// ARCHITECTURE.md says where and why.
#[test]
fn unsafe_code_stands_in_two_places() {
    for path in files(&root().join("src"), "rs") {
        let text = std::fs::read_to_string(&path).unwrap();
        let expected = ["src/gpu/store.rs", "src/gpu/adapter.rs"].iter().any(|place| path.ends_with(place));
        let expected = usize::from(expected);
        assert_eq!(text.matches("allow(unsafe_code").count(), expected, "{}", path.display());
    }
}
