"""The companion in two other forms, both made from its Markdown pages: notebooks, and one page of HTML."""
