r"""Formulas that can be read as text: `x_1`, `\alpha = 0.5`, `n \times m`.  Whatever needs two dimensions is not text."""

from __future__ import annotations

import re

_LONGEST = 200
_SYMBOLS = {
    "times": "×", "cdot": "·", "pm": "±", "mp": "∓", "le": "≤", "leq": "≤", "ge": "≥", "geq": "≥", "ne": "≠", "neq": "≠",
    "approx": "≈", "equiv": "≡", "sim": "~", "infty": "∞", "to": "→", "rightarrow": "→", "leftarrow": "←", "in": "∈",
    "notin": "∉", "subset": "⊂", "subseteq": "⊆", "cup": "∪", "cap": "∩", "forall": "∀", "exists": "∃", "partial": "∂",
    "nabla": "∇", "sum": "∑", "prod": "∏", "int": "∫", "circ": "°", "degree": "°", "ldots": "…", "dots": "…", "cdots": "⋯",
    "ell": "ℓ", "hbar": "ħ", "emptyset": "∅", "propto": "∝", "perp": "⊥", "parallel": "∥", "div": "÷", "land": "∧",
    "lor": "∨", "neg": "¬", "Rightarrow": "⇒", "Leftrightarrow": "⇔", "leftrightarrow": "↔", "mid": "|", "prime": "′",
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ϵ", "varepsilon": "ε", "zeta": "ζ", "eta": "η",
    "theta": "θ", "vartheta": "ϑ", "iota": "ι", "kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "ν", "xi": "ξ", "pi": "π",
    "rho": "ρ", "sigma": "σ", "tau": "τ", "upsilon": "υ", "phi": "ϕ", "varphi": "φ", "chi": "χ", "psi": "ψ", "omega": "ω",
    "Gamma": "Γ", "Delta": "Δ", "Theta": "Θ", "Lambda": "Λ", "Xi": "Ξ", "Pi": "Π", "Sigma": "Σ", "Phi": "Φ", "Psi": "Ψ",
    "Omega": "Ω", "sin": "sin", "cos": "cos", "tan": "tan", "log": "log", "ln": "ln", "exp": "exp", "max": "max",
    "min": "min", "left": "", "right": "", "displaystyle": "", "textstyle": "", "quad": " ", "qquad": " ", ",": " ",
    ";": " ", ":": " ", "!": "", " ": " ", "%": "%",
}  # fmt: skip
_STYLE = re.compile(
    r"\\(?:mathrm|mathbf|mathit|mathbb|mathcal|mathsf|text|textrm|textbf|operatorname|rm|bf|boldsymbol)(?![a-zA-Z])\s*"
)
_COMMAND = re.compile(r"\\([a-zA-Z]+|.)", re.DOTALL)
_GROUP = re.compile(r"\{([^{}\\^_]*)\}")
_READABLE = re.compile(r"[^{}\\&]*")


def plain(latex: str) -> str:
    """Return a formula as text, or an empty text if it cannot be one."""
    if len(latex) > _LONGEST:
        return ""
    text = _STYLE.sub("", latex)
    known = True

    def symbol(match: re.Match[str]) -> str:
        nonlocal known
        found = _SYMBOLS.get(match[1])
        known = known and found is not None
        return found or ""

    text = _COMMAND.sub(symbol, text)
    if not known:
        return ""
    text = _GROUP.sub(r"\1", text)
    return " ".join(text.split()) if _READABLE.fullmatch(text) else ""
