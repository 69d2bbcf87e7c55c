"""Networks: plain `nn.Module`s with no training in them, and the table that names them."""
