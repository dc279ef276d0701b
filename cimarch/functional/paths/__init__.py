"""Ways to compute a product: each equals the plain reference where it takes an operation."""
