"""The stand-in portal as a person sees it: pages that look like a portal, and the control panel.

Decision: the protocol stays on the server and is reached as JSON (`/_standin/frame`, `/_standin/command`, the control
API); here are only pages, their styles, and the portal's side of postMessage in plain modules without a build step.
"""
