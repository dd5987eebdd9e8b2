"""The composition root: the only room that knows all others. Settings become objects, objects become a platform."""
