"""The default recipe: crop, train and adapt in stages, and outline the target's photographs."""
