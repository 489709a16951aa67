"""Results for people: tables, comparisons, figures, pages."""
