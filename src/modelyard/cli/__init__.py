"""The command `modelyard`: one file per concept, loaded when its command is asked for."""
