"""The notebooks as JupyterLab shows them in Chromium: `make test-jupyter`; elsewhere these tests are skipped."""
