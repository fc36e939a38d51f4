"""How good the face's motion is: the judges, the figures and the programs that print them."""
