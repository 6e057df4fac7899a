"""The commands and signs of LaTeX that the pages use, and the characters that they become."""

LETTERS = {
    "\\alpha": "α", "\\beta": "β", "\\theta": "θ", "\\mu": "μ", "\\pi": "π", "\\rho": "ρ", "\\sigma": "σ",
    "\\varphi": "φ", "\\Lambda": "Λ", "\\Phi": "Φ", "\\Sigma": "Σ", "\\ell": "ℓ", "\\partial": "∂",
}
ORDINARY = {
    "!": "!", "/": "/", ".": ".", "|": "|", '"': '"', "\\nabla": "∇", "\\top": "⊤", "\\dots": "…", "\\ldots": "…",
    "\\cdots": "⋯", "\\ddots": "⋱",
}
OPERATIONS = {
    "+": "+", "-": "−", "*": "∗", "\\pm": "±", "\\cdot": "⋅", "\\times": "×", "\\odot": "⊙", "\\otimes": "⊗",
}
RELATIONS = {
    "=": "=", "<": "&lt;", ">": "&gt;", ":": ":", "\\le": "≤", "\\ge": "≥", "\\mid": "∣", "\\sim": "∼",
    "\\approx": "≈", "\\propto": "∝", "\\to": "→", "\\leftarrow": "←", "\\Rightarrow": "⇒",
}
PUNCTUATION = {",": ",", ";": ";"}
OPENING = {"(": "(", "[": "[", "\\lvert": "|", "\\lVert": "‖", "\\lfloor": "⌊"}
CLOSING = {")": ")", "]": "]", "\\rvert": "|", "\\rVert": "‖", "\\rfloor": "⌋"}
FUNCTIONS = ("\\log", "\\ln", "\\exp", "\\det", "\\sin", "\\cos", "\\tanh", "\\max", "\\min")
BIG = {"\\sum": "∑", "\\prod": "∏", "\\int": "∫"}
LIMITS = ("\\sum", "\\prod", "\\max", "\\min")                   # in displays their scripts go below and above
SPACES = {
    "\\,": "0.167em", "\\ ": "0.333em", "\\\n": "0.333em", "\\quad": "1em", "\\qquad": "2em",
}
ACCENTS = {"\\hat": "^", "\\tilde": "~", "\\bar": "¯"}
SCRIPT = {"N": "𝒩"}
DOUBLE_STRUCK = {"E": "𝔼", "R": "ℝ"}
