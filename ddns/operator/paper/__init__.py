"""Paper: invitations as QR codes, in the terminal and on sheets of labels, as SVG and as PDF.

It draws, and nothing else: what stands in a code comes in as text, and files are written by who asks. The sheets hold
secrets; they are never kept here. Start reading in `sheet.py`.
"""
