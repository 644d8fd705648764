"""The screens. Each asks for one view at a time and draws it into its panes; none of them knows where it comes from."""
