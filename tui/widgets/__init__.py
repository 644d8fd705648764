"""The few widgets: a pane of rows and a bar of lines. Neither has a widget for a row."""
