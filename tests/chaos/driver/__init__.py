# SPDX-License-Identifier: MIT
"""The driver of a chaos run; see ../run."""
