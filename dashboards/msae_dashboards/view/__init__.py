"""What a page is made of (`nodes`, `controls`), and how it is written (`html`)."""
