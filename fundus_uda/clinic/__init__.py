"""From a clinic's photographs to masks, measurements and a report."""
