//! Equations of Einstein's sums, as Einsum has them: `bij,bjk->bik`.

use super::node::Node;
use crate::error::Result;

/// What the axes of the operands and of the result are called.
#[derive(Debug)]
pub(super) struct Equation {
    pub(super) terms: Vec<Vec<char>>,
    pub(super) output: Vec<char>,
    text: String,
}

impl Equation {
    /// The equation of a node whose inputs have so many axes. The axes of an ellipsis are aligned at the last: their names
    /// are digits, counted from there.
    pub(super) fn of(node: &Node, ranks: &[usize]) -> Result<Self> {
        let text = node.required("equation", node.text("equation")?)?;
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let wrong = || node.wrong(format_args!("equation `{text}`"));
        let (left, right) = match text.split_once("->") {
            Some((left, right)) => (left, Some(right)),
            None => (text.as_str(), None),
        };
        let terms: Vec<&str> = left.split(',').collect();
        if terms.len() != ranks.len() {
            return Err(wrong());
        }
        let terms: Option<Vec<Vec<char>>> = terms.iter().zip(ranks).map(|(term, &rank)| axes(term, rank)).collect();
        let terms = terms.ok_or_else(wrong)?;
        let most = terms.iter().map(|axes| axes.iter().filter(|name| name.is_ascii_digit()).count()).max().unwrap_or(0);
        let output: Vec<char> = match right {
            Some(right) => {
                let ellipsis = if right.contains("...") { most } else { 0 };
                let letters = right.chars().filter(char::is_ascii_alphabetic).count();
                axes(right, ellipsis + letters).ok_or_else(wrong)?
            }
            None => {
                // Without an arrow: the ellipsis, then every letter that stands once, in alphabetical order.
                let mut letters: Vec<char> = left.chars().filter(char::is_ascii_alphabetic).collect();
                letters.sort_unstable();
                let once = |letter: &char| letters.iter().filter(|other| *other == letter).count() == 1;
                let ellipsis = (0..most).rev().filter_map(|n| char::from_digit(n as u32, 10));
                ellipsis.chain(letters.iter().copied().filter(once)).collect()
            }
        };
        if twice(&output) || output.iter().any(|name| !terms.iter().any(|axes| axes.contains(name))) {
            return Err(wrong());
        }
        Ok(Self { terms, output, text })
    }

    /// Every name with its extent, those of the output first and in its order; the axes of an ellipsis broadcast.
    pub(super) fn extents(&self, node: &Node, shapes: &[&[usize]]) -> Result<Vec<(char, usize)>> {
        let mut extents: Vec<(char, usize)> = self.output.iter().map(|&name| (name, 1)).collect();
        let mut known: Vec<char> = Vec::new();
        for (&name, &own) in self.terms.iter().flatten().zip(shapes.iter().copied().flatten()) {
            let at = extents.iter().position(|(other, _)| *other == name).unwrap_or_else(|| {
                extents.push((name, 1));
                extents.len() - 1
            });
            let extent = &mut extents[at].1;
            match (known.contains(&name), name.is_ascii_digit()) {
                (false, _) => *extent = own,
                (true, true) if *extent == 1 => *extent = own,
                (true, true) if own == 1 => {}
                _ if *extent == own => {}
                _ => return Err(node.wrong(format_args!("equation `{self}`: `{name}` is {extent} and {own}"))),
            }
            known.push(name);
        }
        Ok(extents)
    }
}

impl std::fmt::Display for Equation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

fn twice(axes: &[char]) -> bool {
    (1..axes.len()).any(|axis| axes[..axis].contains(&axes[axis]))
}

/// The names of a term's axes, for a tensor of this rank.
fn axes(term: &str, rank: usize) -> Option<Vec<char>> {
    let (before, behind) = match term.split_once("...") {
        Some((before, behind)) => (before, Some(behind)),
        None => (term, None),
    };
    let letters = |text: &str| text.chars().all(|c| c.is_ascii_alphabetic());
    let (rest, count) = (behind.unwrap_or(""), before.len() + behind.unwrap_or("").len());
    let more = rank.checked_sub(count).filter(|&more| more < 10 && (behind.is_some() || more == 0))?;
    if !letters(before) || !letters(rest) {
        return None;
    }
    let ellipsis = (0..more).rev().filter_map(|n| char::from_digit(n as u32, 10));
    Some(before.chars().chain(ellipsis).chain(rest.chars()).collect())
}
