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
        Self { info, limits, features, downlevel, class }
    }

    /// Invocations of a subgroup, where the device has subgroups and all have that many.
    pub(crate) fn subgroup(&self) -> Option<usize> {
        let (least, most) = (self.info.subgroup_min_size, self.info.subgroup_max_size);
        let fixed = least == most && least.is_power_of_two() && (4..=64).contains(&least);
        (self.features.contains(wgpu::Features::SUBGROUP) && fixed).then_some(least as usize)
    }
}
