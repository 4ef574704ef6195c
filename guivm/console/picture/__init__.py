"""The guest's picture in a widget: geometry, painting, scaling."""
