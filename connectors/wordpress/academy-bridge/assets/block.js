/**
 * The button in the editor. The page's own is made by PHP.
 */
( function ( blocks, element, blockEditor, components, texts ) {
	const el = element.createElement;

	blocks.registerBlockType( 'academy-bridge/button', {
		title: texts.title,
		description: texts.about,
		edit: function ( props ) {
			const field = function ( name, label, help ) {
				return el( components.TextControl, {
					key: name,
					label,
					help,
					value: props.attributes[ name ],
					onChange( value ) {
						props.setAttributes( { [ name ]: value } );
					},
				} );
			};
			return el(
				'p',
				blockEditor.useBlockProps( { className: 'academy-bridge' } ),
				el(
					blockEditor.InspectorControls,
					null,
					el(
						components.PanelBody,
						{ title: texts.title },
						field( 'target', texts.target, texts.help ),
						field( 'label', texts.label )
					)
				),
				el( 'span', { className: 'button wp-element-button academy-bridge-button' }, props.attributes.label || texts.title )
			);
		},
		save() {
			return null;
		},
	} );
} )( window.wp.blocks, window.wp.element, window.wp.blockEditor, window.wp.components, window.academyBridgeTexts );
