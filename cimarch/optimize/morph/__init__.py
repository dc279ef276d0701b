"""Other widths for a network, so that it fits the macros that a chip has.

Shrink and expand after MorphNet (Gordon et al., CVPR 2018, arXiv 1711.06798), as the first stage of
Lin & Chang, "Computing-In-Memory Aware Model Adaption For Edge Devices" (arXiv 2510.14379): what is
counted are bit lines of macros, not multiplications.
"""
