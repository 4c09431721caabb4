"""Source images in the style of the target: Fourier, histogram, and CyCADA's trained translation.

Both applications share it; neither datasets nor labels occur here.
"""
