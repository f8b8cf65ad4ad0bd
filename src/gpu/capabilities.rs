//! What the plan needs to know of a device: plain data, so that plans can be made and tested without one.

/// The broad kind of a device; kernels are ranked by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeviceClass {
    /// A software adapter: invocations are vector lanes of a few cores, barriers are expensive.
    Cpu,
    /// Any real GPU.
    Gpu,
}

/// What kernels with cooperative matrices need.
pub(super) const COOPERATIVE: wgpu::Features =
    wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX.union(wgpu::Features::SHADER_F16).union(wgpu::Features::SUBGROUP);

/// A device's identity, limits and features.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Capabilities {
    /// The adapter's name, driver and back end.
    pub info: wgpu::AdapterInfo,
    /// The limits that the device was opened with.
    pub limits: wgpu::Limits,
    /// The features that the device was opened with.
    pub features: wgpu::Features,
    /// What WebGPU asks of every adapter and this one has.
    pub downlevel: wgpu::DownlevelFlags,
    /// Which kernels to prefer.
    pub class: DeviceClass,
    /// Whether it multiplies matrices of f16.
    pub cooperative: Cooperative,
}

/// What is known of a device's cooperative matrices, f16 into f32. Kernels use them only where they are sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cooperative {
    /// The adapter has none, or the device was opened without them.
    Absent,
    /// There are some of this size, 8 or 16, and nobody knows yet what they compute.
    Unchecked(u32),
    /// Every kernel with them has computed products exactly.
    Sound(u32),
    /// They have not.
    Unsound,
}

impl Capabilities {
    /// Collects what wgpu says of a device.
    pub fn new(
        info: wgpu::AdapterInfo,
        limits: wgpu::Limits,
        features: wgpu::Features,
        downlevel: wgpu::DownlevelFlags,
    ) -> Self {
        let class = match info.device_type {
            wgpu::DeviceType::Cpu => DeviceClass::Cpu,
            _ => DeviceClass::Gpu,
        };
        Self { info, limits, features, downlevel, class, cooperative: Cooperative::Absent }
    }

    /// The largest square matrices that the device multiplies, of f16 into f32: all that kernels can use, with the features
    /// that they need beside.
    pub(super) fn with_cooperative(mut self, properties: &[wgpu::CooperativeMatrixProperties]) -> Self {
        use wgpu::CooperativeScalarType::{F16, F32};
        let fits = |p: &&wgpu::CooperativeMatrixProperties| {
            p.m_size == p.n_size
                && p.m_size == p.k_size
                && matches!(p.m_size, 8 | 16)
                && (p.ab_type, p.cr_type) == (F16, F32)
        };
        let largest = properties.iter().filter(fits).map(|p| p.m_size).max();
        if let Some(size) = largest.filter(|_| self.features.contains(COOPERATIVE)) {
            self.cooperative = Cooperative::Unchecked(size);
        }
        self
    }

    /// Invocations of a subgroup, where the device has subgroups and all have that many. A browser is taken to have none:
    /// its WGSL wants an `enable` before them, which naga's does not know, and the kernels with subgroups are those for
    /// software adapters, which a browser does not tell from others.
    pub(crate) fn subgroup(&self) -> Option<usize> {
        if self.info.backend == wgpu::Backend::BrowserWebGpu {
            return None;
        }
        let (least, most) = (self.info.subgroup_min_size, self.info.subgroup_max_size);
        let fixed = least == most && least.is_power_of_two() && (4..=64).contains(&least);
        (self.features.contains(wgpu::Features::SUBGROUP) && fixed).then_some(least as usize)
    }
}
