"""Chips beside each other and beside what their papers print: products, references, comparison."""
