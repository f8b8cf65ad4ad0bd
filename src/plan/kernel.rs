//! The vocabulary that operations are lowered to: shader files, kernels, dispatches.

use std::sync::Arc;

use super::format::Format;
use crate::error::{Error, Result};
use crate::graph::TensorId;
use crate::graph::chain::{Argument, Chain, Extent};
use crate::ops::conv2d::is_half;

/// One WGSL file.
#[derive(Debug)]
pub struct Shader {
    /// The file's stem in `shaders/`.
    pub name: &'static str,
    /// Its text: WGSL, or a minijinja template of it where text must be unrolled.
    pub text: &'static str,
    /// Files of `shaders/common/` that stand before it.
    pub common: &'static [&'static str],
    /// Files there of which only those functions stand before it that a kernel calls.
    pub functions: &'static [&'static str],
    /// Fields of its `Params` struct, name and WGSL type, in order.
    pub params: &'static [(&'static str, &'static str)],
}

/// The shader file `$name` with its parameter struct and the common files it calls; with `chain` those of the functions of
/// single elements that it computes of its results.
macro_rules! shader {
    ($name:literal, $params:ty, [$($common:literal),*], chain) => {
        $crate::plan::shader!(
            $name,
            $params,
            [$($common,)* "chain"],
            ["nan", "elementary", "activations", "functions"]
        )
    };
    ($name:literal, $params:ty, [$($common:literal),*]) => {
        $crate::plan::shader!($name, $params, [$($common),*], [])
    };
    ($name:literal, $params:ty, [$($common:literal),*], [$($functions:literal),*]) => {
        $crate::plan::Shader {
            name: $name,
            text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $name, ".wgsl")),
            common: &[$($crate::plan::shader!($common)),*],
            functions: &[$($crate::plan::shader!($functions)),*],
            params: <$params as $crate::plan::Params>::FIELDS,
        }
    };
    ($common:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/common/", $common, ".wgsl"))
    };
}
pub(crate) use shader;

/// The host's side of a shader's `Params`; a test compares both, field by field.
pub(crate) trait Params {
    /// Field names and WGSL types.
    const FIELDS: &'static [(&'static str, &'static str)];
    /// The fields as 32-bit words, in order.
    fn words(&self) -> Vec<u32>;
}

/// A 32-bit scalar of a `Params` struct.
pub(crate) trait Word: Copy {
    fn word(self) -> u32;
}
impl Word for u32 {
    fn word(self) -> u32 {
        self
    }
}
impl Word for f32 {
    fn word(self) -> u32 {
        self.to_bits()
    }
}

/// Declares a `Params` struct: scalars only, so that the layout is the same on both sides.
macro_rules! params {
    ($(#[$meta:meta])* $name:ident { $($field:ident: $ty:ident),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, Default)]
        pub(crate) struct $name { $(pub(crate) $field: $ty),* }
        impl $crate::plan::Params for $name {
            const FIELDS: &'static [(&'static str, &'static str)] = &[$((stringify!($field), stringify!($ty))),*];
            fn words(&self) -> Vec<u32> {
                vec![$($crate::plan::Word::word(self.$field)),*]
            }
        }
    };
}
pub(crate) use params;

/// One entry point of one shader file, specialised.
#[derive(Debug, Clone)]
pub struct Kernel {
    /// The file.
    pub shader: &'static Shader,
    /// The entry point.
    pub entry: &'static str,
    /// Which of the operation's variants this is; it stands in labels and in exclusions.
    pub variant: &'static str,
    /// Pipeline `override` constants.
    pub constants: Vec<(&'static str, f64)>,
    /// Variables of the template; none for plain WGSL.
    pub template: Vec<(&'static str, minijinja::Value)>,
    /// The functions of single elements that it calls.
    functions: Vec<&'static str>,
}

impl Kernel {
    /// A kernel without specialisation.
    pub(crate) fn new(shader: &'static Shader, entry: &'static str) -> Self {
        let (constants, template, functions) = Default::default();
        Self { shader, entry, variant: "plain", constants, template, functions }
    }

    pub(crate) fn variant(mut self, variant: &'static str) -> Self {
        self.variant = variant;
        self
    }

    pub(crate) fn constant(mut self, name: &'static str, value: impl Into<f64>) -> Self {
        self.constants.push((name, value.into()));
        self
    }

    pub(crate) fn flag(self, name: &'static str, value: bool) -> Self {
        self.constant(name, f64::from(u8::from(value)))
    }

    /// A variable of the template: a number, so that the template can count with it, or a text.
    pub(crate) fn template(self, name: &'static str, value: impl ToString) -> Self {
        let text = value.to_string();
        self.value(name, text.parse::<i64>().map_or_else(|_| minijinja::Value::from(text), Into::into))
    }

    pub(crate) fn value(mut self, name: &'static str, value: minijinja::Value) -> Self {
        self.template.push((name, value));
        self
    }

    /// The chain that the template is to compute, and which of its operands come from textures.
    pub(crate) fn chain(mut self, chain: &Chain, textures: &[bool]) -> Self {
        self.functions.extend(chain.links.iter().map(|link| link.function));
        let operands = chain.operands.iter().zip(textures).map(|(extent, texture)| {
            let (channel, scalar) = (*extent == Extent::Channel, *extent == Extent::Scalar);
            minijinja::context! { channel, scalar, texture => *texture }
        });
        let links = chain.links.iter().enumerate().map(|(number, link)| {
            let previous = || if number == 0 { "previous".into() } else { format!("link{}", number - 1) };
            let argument = |argument: &Argument| match argument {
                Argument::Previous => previous(),
                Argument::Operand(operand) => format!("operand{operand}"),
            };
            // The shortest text that reads back as the same f32.
            let constants = link.constants.iter().map(|constant| format!("vec4<f32>({constant:?})"));
            let arguments: Vec<String> = link.arguments.iter().map(argument).chain(constants).collect();
            minijinja::context! { function => link.function, arguments => arguments.join(", ") }
        });
        let (operands, links) = (operands.collect::<Vec<_>>(), links.collect::<Vec<_>>());
        self.value("operands", operands.into()).value("links", links.into())
    }

    /// Whether it calls all functions of this chain.
    pub(crate) fn computes(&self, chain: &Chain) -> bool {
        chain.links.iter().all(|link| self.functions.contains(&link.function))
    }

    /// `conv2d.forward[naive]`.
    pub fn label(&self) -> String {
        format!("{}.{}[{}]", self.shader.name, self.entry, self.variant)
    }

    /// Whether it reads operands that were rounded to half precision.
    pub fn half_precision(&self) -> bool {
        is_half(self.variant)
    }

    /// The WGSL text that the device gets. This is the one place where templates are rendered.
    ///
    /// # Errors
    /// When the template does not render, which a test rules out for every kernel that can be chosen.
    pub fn source(&self) -> Result<Arc<str>> {
        let common = self.shader.common.concat();
        let functions = called(self.shader.functions, &self.functions, &common);
        let text = [common.as_str(), &functions, self.shader.text].concat();
        let rendered = render(&text, &self.template);
        let text = rendered.map_err(|error| Error::Validation(format!("template of {}: {error:#}", self.label())))?;
        Ok(text.into())
    }
}

/// These functions of some files and what they call, but for what stands in `common` already: the others would be parsed and
/// checked for every kernel.
fn called(files: &[&str], functions: &[&str], common: &str) -> String {
    let words = |text: &str| -> Vec<String> {
        let code = text.lines().filter(|line| !line.starts_with("//"));
        let words = code.flat_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
        words.map(str::to_string).collect()
    };
    // Blank lines stand between functions, and nowhere else.
    let items = files.iter().flat_map(|file| file.split("\n\n"));
    let named = items.filter_map(|item| {
        let from = item.lines().find_map(|line| line.strip_prefix("fn "))?;
        Some((from.split('(').next()?, item))
    });
    let named = named.filter(|(name, _)| !common.contains(&format!("fn {name}(")));
    let mut left: Vec<(&str, &str)> = named.collect();
    let mut wanted: Vec<String> = functions.iter().copied().map(str::to_string).collect();
    let mut text = String::new();
    while let Some(name) = wanted.pop() {
        // A name that is no function here is a variable or built in.
        if let Some(index) = left.iter().position(|(known, _)| *known == name) {
            let (_, item) = left.swap_remove(index);
            wanted.extend(words(item));
            text += item.trim_end();
            text += "\n\n";
        }
    }
    text
}

fn render(text: &str, variables: &[(&'static str, minijinja::Value)]) -> Result<String, minijinja::Error> {
    let mut environment = minijinja::Environment::new();
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    let context: minijinja::Value = variables.iter().cloned().collect();
    environment.render_str(text, context)
}

/// What a dispatch binds, in the node's own terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operand {
    /// Input number n, read, in the format that the lowering asked for.
    Input(usize),
    /// Input number n, a variable, changed in place.
    Modify(usize),
    /// Output number n, written.
    Output(usize),
    /// Scratch memory number n, written.
    ScratchWrite(usize),
    /// Scratch memory number n, read.
    ScratchRead(usize),
    /// Input number n, read through a copy in a texture, which the plan makes: a CPU adapter reads that 5 to 30 times as
    /// fast as a buffer.
    InputTexture(usize),
    /// Scratch memory number n, through a copy in a texture.
    ScratchTexture(usize),
    /// A tensor in a format that it has, to be converted, through a copy in a texture.
    InFormatTexture(TensorId, Format),
    /// A run of a flat buffer: for the optimizers, or a table.
    Flat(FlatOperand),
    /// A tensor in a format that it has, read to be converted.
    InFormat(TensorId, Format),
    /// A tensor's copy in another format, written.
    Converted(TensorId, Format),
}

impl Operand {
    /// The same, read through a copy in a texture; what is written stays as it is.
    pub(crate) fn textured(self) -> Self {
        match self {
            Self::Input(n) => Self::InputTexture(n),
            Self::ScratchRead(n) => Self::ScratchTexture(n),
            Self::InFormat(id, format) => Self::InFormatTexture(id, format),
            Self::Flat(flat) if flat.access == Access::Read => {
                Self::Flat(FlatOperand { access: Access::Texture, ..flat })
            }
            other => other,
        }
    }
}

/// Part of a flat buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FlatOperand {
    pub(crate) location: super::Location,
    pub(crate) access: Access,
}

/// Bytes of a tensor: a kernel that cannot bind all of it binds these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
}

/// How a dispatch gets at an operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// It only reads.
    Read,
    /// It may read and write.
    Write,
    /// It reads a copy in a texture.
    Texture,
}

/// A kernel with what it works on.
#[derive(Debug, Clone)]
pub(crate) struct Dispatch {
    pub(crate) kernel: Kernel,
    pub(crate) operands: Vec<Operand>,
    /// The operands of which only a part is bound, and the part.
    pub(crate) spans: Vec<(usize, Span)>,
    pub(crate) params: Vec<u32>,
    pub(crate) workgroups: [u32; 3],
    /// The operands that the first one, the result, may be written over: tensors of its size, read from buffers, of which
    /// each element is read by the invocation alone that writes the same one.
    pub(crate) over: Vec<usize>,
}

impl Dispatch {
    /// The part of an operand that is bound, if it is not all of it.
    pub(super) fn span(&self, operand: usize) -> Option<Span> {
        self.spans.iter().find(|(number, _)| *number == operand).map(|&(_, span)| span)
    }

    /// Writes the result over an operand, which then is bound no more: the kernel's template reads it from the result.
    pub(super) fn write_over(&mut self, operand: usize) {
        self.operands.remove(operand);
        self.over.clear();
        self.kernel.template.retain(|(name, _)| *name != "own");
        self.kernel.template.push(("own", operand.into()));
    }
}

/// Spreads `count` workgroups over three dimensions of at most `limit` each; kernels undo it with `flat_workgroup`.
pub(crate) fn fold_grid(what: &str, count: u64, limit: u32) -> Result<[u32; 3]> {
    let split = |count: u64| {
        let parts = count.div_ceil(u64::from(limit)).max(1);
        (count.div_ceil(parts), parts)
    };
    let (x, rest) = split(count.max(1));
    let (y, z) = split(rest);
    if z > u64::from(limit) {
        return Err(Error::Limit {
            what: format!("the grid of {what}"),
            needed: count,
            limit: "max_compute_workgroups_per_dimension",
            allowed: u64::from(limit).pow(3),
        });
    }
    // Each is at most `limit`, a u32.
    Ok([x as u32, y as u32, z as u32])
}

#[cfg(test)]
mod tests {
    use super::{called, fold_grid};

    #[test]
    fn what_is_called_comes_with_what_it_calls() {
        let files = ["// One.\n\nfn a() { b(1); }\n\n/// Of c.\nfn b(\n    x: u32,\n) {\n}\n", "fn c() { a(); }\n"];
        assert_eq!(called(&files, &["b"], ""), "/// Of c.\nfn b(\n    x: u32,\n) {\n}\n\n");
        assert_eq!(called(&files, &["c", "a"], "").matches("fn ").count(), 3);
        assert_eq!(called(&files, &["built_in"], ""), "");
        // What stands there already is not said twice.
        assert_eq!(called(&files, &["c"], "fn c("), "");
    }

    #[test]
    fn folding_covers_the_count_within_the_limit() {
        for count in [0, 1, 65_535, 65_536, 65_537, 131_071, 4_294_836_225, 4_294_836_226, 5_000_000_000_000] {
            let grid = fold_grid("test", count, 65_535).unwrap_or_default();
            assert!(grid.iter().all(|&n| (1..=65_535).contains(&n)), "{count} folds to {grid:?}");
            assert!(grid.iter().map(|&n| u64::from(n)).product::<u64>() >= count, "{count} folds to {grid:?}");
        }
        assert!(fold_grid("test", u64::MAX, 65_535).is_err());
    }
}
