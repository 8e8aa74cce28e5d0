<?php
/**
 * The smallest theme: what the shop's stand-in puts on the page, or the post.
 */

?><!DOCTYPE html>
<html <?php language_attributes(); ?>>
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><?php wp_head(); ?></head>
<body>
<?php
if ( ! shop_page() ) {
	while ( have_posts() ) {
		the_post();
		the_content();
	}
}
wp_footer();
?>
</body>
</html>
