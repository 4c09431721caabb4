"""Source images in the style of the target: Fourier, histogram, and CyCADA's trained translation.

What the two applications share of it; neither datasets nor labels occur here.
"""
