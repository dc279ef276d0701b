"""Weights of several precisions: which strips are sensitive, which are high, what fits the arrays.

A strip is the weights of one kernel position and one output channel of a convolution, 1 x 1 x D
(G.-C. Chen et al., arXiv 2512.19445, section 4.1); of a fully connected layer, those of one output.
"""
